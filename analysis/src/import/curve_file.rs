//! One file of curves: rows are time steps, columns are epochs, and the first column counts the rows, as pandas and R write it.

use std::fs::File;
use std::path::Path;

use csv::StringRecord;

use crate::error::Error;

/// The curves of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    /// The probe's accuracies, `[epoch][time step]`.
    pub epochs: Vec<Vec<f64>>,
}

impl Curves {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or is no table of accuracies: with the line and the column, both from 1.
    pub fn read(path: &Path) -> Result<Curves, Error> {
        let whole = |reason: String| Error::CurveFile { place: path.display().to_string(), reason };
        let file = File::open(path).map_err(|error| whole(format!("cannot be opened: {error}")))?;
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
        let broken = |error: csv::Error| whole(format!("is no CSV: {error}"));
        let columns = reader.headers().map_err(broken)?.len();
        if columns < 2 {
            return Err(whole("has no epochs: its first line names fewer than two columns".to_string()));
        }
        let mut epochs = vec![Vec::new(); columns - 1];
        let mut first_step = 0;
        for (row, record) in reader.records().enumerate() {
            let record = record.map_err(broken)?;
            let at = |column: usize, reason: String| {
                let line = record.position().map_or(0, csv::Position::line);
                whole(format!("line {line}, column {}: {reason}", column + 1))
            };
            if record.len() != columns {
                return Err(at(
                    record.len().min(columns).saturating_sub(1),
                    format!("the line has {} values where the first line names {columns}", record.len()),
                ));
            }
            if row == 0 {
                first_step = u64::from(record[0].trim() == "1");
            }
            let step = first_step + row as u64;
            if record[0].trim() != step.to_string() {
                let expected = if row == 0 { "0 or 1".to_string() } else { step.to_string() };
                return Err(at(
                    0,
                    format!(
                        "`{}` where the time step {expected} is expected; the first column counts them",
                        shown(&record, 0)
                    ),
                ));
            }
            for (epoch, curve) in epochs.iter_mut().enumerate() {
                curve.push(accuracy(&record, epoch + 1).map_err(|reason| at(epoch + 1, reason))?);
            }
        }
        if epochs[0].is_empty() {
            return Err(whole("has no time steps: nothing follows its first line".to_string()));
        }
        Ok(Curves { epochs })
    }

    /// Time steps of every epoch.
    pub fn steps(&self) -> usize {
        self.epochs.first().map_or(0, Vec::len)
    }
}

fn accuracy(record: &StringRecord, column: usize) -> Result<f64, String> {
    match record[column].trim().parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        Ok(_) => Err(format!("`{}` is no accuracy; those lie between 0 and 1", shown(record, column))),
        Err(_) if record[column].trim().is_empty() => Err("there is no value".to_string()),
        Err(_) => Err(format!("`{}` is no number", shown(record, column))),
    }
}

/// The beginning of a cell; a file that is no table can have cells without end.
fn shown(record: &StringRecord, column: usize) -> String {
    record[column].chars().take(40).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Curves, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curves.csv");
        std::fs::write(&path, text).unwrap();
        Curves::read(&path).map_err(|error| error.to_string().replace(&path.display().to_string(), "FILE"))
    }

    #[test]
    fn columns_are_epochs_and_rows_are_steps() {
        let expected = vec![vec![0.5, 0.75, 1.0], vec![0.25, 0.1, 0.0]];
        for text in [
            ",0,1\n0,0.5,0.25\n1,0.75,0.1\n2,1.0,0\n",
            "\"\",\"V1\",\"V2\"\n\"1\",0.5,0.25\n\"2\",7.5e-1,0.1\n\"3\",1,0.0\n",
        ] {
            assert_eq!(read(text).unwrap().epochs, expected);
        }
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        for (text, reason) in [
            ("", "FILE has no epochs"),
            (",0,1\n", "FILE has no time steps"),
            (",0,1\n0,0.5,0.5\n1,0.5,x\n", "FILE line 3, column 3: `x` is no number"),
            (",0,1\n0,0.5,\n", "FILE line 2, column 3: there is no value"),
            (",0,1\n0,0.5,NaN\n", "FILE line 2, column 3: `NaN` is no accuracy"),
            (",0,1\n0,0.5,51.2\n", "FILE line 2, column 3: `51.2` is no accuracy"),
            (",0,1\n0,0.5\n", "FILE line 2, column 2: the line has 2 values where the first line names 3"),
            (",0,1\n0.51,0.5,0.5\n", "FILE line 2, column 1: `0.51` where the time step 0 or 1 is expected"),
            (",0,1\n0,0.5,0.5\n2,0.5,0.5\n", "FILE line 3, column 1: `2` where the time step 1 is expected"),
        ] {
            let found = read(text).unwrap_err();
            assert!(found.starts_with(reason), "{text:?}: {found}");
        }
    }
}
