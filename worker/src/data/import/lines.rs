//! Text files, line by line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::data::error::file_name;
use crate::data::{DataError, SourceFile};

/// The byte order mark that some editors put before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Hashes whatever is read through it.
pub(super) struct Hashing<R> {
    reader: R,
    hasher: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }
}

impl<R> Hashing<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, hasher: Sha256::new() }
    }

    /// What has been read so far, as a source file with this name and number of sequences.
    pub(super) fn into_source(self, path: &Path, sequences: u64) -> SourceFile {
        SourceFile { name: file_name(path), sha256: hex::encode(self.hasher.finalize()), sequences }
    }
}

/// Opens a file for reading.
pub(super) fn open(path: &Path) -> Result<Hashing<File>, DataError> {
    let file = File::open(path).map_err(|source| DataError::Read { path: path.to_path_buf(), source })?;
    Ok(Hashing::new(file))
}

/// A text file read one line at a time, without line ends (LF or CRLF) and without a byte order mark.
pub(super) struct Lines {
    path: PathBuf,
    reader: BufReader<Hashing<File>>,
    buffer: Vec<u8>,
    number: u64,
    latin1: u64,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        Ok(Self {
            path: path.to_path_buf(),
            reader: BufReader::with_capacity(1 << 16, open(path)?),
            buffer: Vec::new(),
            number: 0,
            latin1: 0,
        })
    }

    /// The next line's bytes; `None` at the end of the file.
    pub(super) fn next_bytes(&mut self) -> Result<Option<&[u8]>, DataError> {
        self.buffer.clear();
        let read = self.reader.read_until(b'\n', &mut self.buffer);
        if read.map_err(|source| DataError::Read { path: self.path.clone(), source })? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let mut line = self.buffer.as_slice();
        if self.number == 1 {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        line = line.strip_suffix(b"\n").unwrap_or(line);
        Ok(Some(line.strip_suffix(b"\r").unwrap_or(line)))
    }

    /// The next line as text; `None` at the end of the file. A line that is not UTF-8 is read as Latin-1, and counted.
    pub(super) fn next_line(&mut self) -> Result<Option<String>, DataError> {
        let Some(bytes) = self.next_bytes()? else { return Ok(None) };
        let (text, is_latin1) = decoded(bytes);
        self.latin1 += u64::from(is_latin1);
        Ok(Some(text))
    }

    /// The number, from 1, of the line that was read last.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// How many lines were read as Latin-1.
    pub(super) fn latin1_lines(&self) -> u64 {
        self.latin1
    }

    /// An error about the line that was read last.
    pub(super) fn error(&self, problem: impl Into<String>) -> DataError {
        DataError::line(&self.path, self.number.max(1), problem)
    }

    /// The file as a source, once all lines have been read.
    pub(super) fn into_source(self, sequences: u64) -> SourceFile {
        self.reader.into_inner().into_source(&self.path, sequences)
    }
}

/// Bytes as text, and whether they had to be read as Latin-1 because they are not UTF-8.
pub(super) fn decoded(bytes: &[u8]) -> (String, bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_string(), false),
        Err(_) => (bytes.iter().map(|&byte| char::from(byte)).collect(), true),
    }
}
