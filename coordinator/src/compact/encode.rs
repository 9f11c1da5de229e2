//! From the bytes of small parts to those of a large one: the same rows to the bit, by condition, model and seed as the plan has them.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::cast::AsArray as _;
use arrow_array::types::UInt64Type;
use arrow_array::{Array as _, RecordBatch};
use bytes::Bytes;
use curvefleet_proto::artifact::{CURVE_SCHEMA, PARTS_METADATA, PartProvenance, provenance, sha256_hex};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::Unfit;
use crate::ledger::compact::Source;

/// Rows of a group: readers that want one run or one condition skip the other groups by their statistics.
const GROUP_ROWS: usize = 16_384;
/// Rows decoded at once.
const BATCH_ROWS: usize = 1_024;

/// A large part.
pub(super) struct Encoded {
    /// The bytes.
    pub bytes: Bytes,
    /// Their SHA-256.
    pub sha256: String,
    /// The keys of the sources in it.
    pub sources: Vec<String>,
}

/// The large part of some sources, which are in the order of the study's plan, and those that are no sound parts and left out.
pub(super) fn encode(sources: Vec<(Source, Bytes)>) -> Result<(Encoded, Vec<Unfit>), ParquetError> {
    let (mut encoder, mut unfit) = (Encoder::new()?, Vec::new());
    let mut together: Vec<(Source, Bytes)> = Vec::new();
    for (source, bytes) in sources {
        if together.first().is_some_and(|(first, _)| first.plan_place != source.plan_place) {
            unfit.extend(encoder.add(std::mem::take(&mut together))?);
        }
        together.push((source, bytes));
    }
    unfit.extend(encoder.add(together)?);
    Ok((encoder.finish()?, unfit))
}

/// A large part in the making.
struct Encoder {
    writer: ArrowWriter<Vec<u8>>,
    /// Of each source in it.
    provenance: Vec<PartProvenance>,
    /// The keys of the sources in it.
    sources: Vec<String>,
}

/// What a source gives.
struct Decoded {
    /// Rows of one run each, and its seed. A run may stand in several pieces, one after another.
    pieces: Vec<(u64, RecordBatch)>,
    provenance: Vec<PartProvenance>,
}

impl Encoder {
    fn new() -> Result<Encoder, ParquetError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by("curvefleet".to_string())
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        let writer = ArrowWriter::try_new(Vec::new(), CURVE_SCHEMA.clone(), Some(properties))?;
        Ok(Encoder { writer, provenance: Vec::new(), sources: Vec::new() })
    }

    /// Adds the sources of one place in the plan, which are of one condition and model, by seed; gives those that are no sound parts,
    /// which are left out.
    fn add(&mut self, together: Vec<(Source, Bytes)>) -> Result<Vec<Unfit>, ParquetError> {
        let (mut pieces, mut unfit) = (Vec::new(), Vec::new());
        for (source, bytes) in together {
            // The Parquet library reports almost all damage as errors; what it meets with a panic is the same finding.
            let decoded = catch_unwind(AssertUnwindSafe(|| decode(&source, bytes)));
            match decoded.unwrap_or_else(|_| Err("is not a curve part: its pages are damaged".to_string())) {
                Ok(decoded) => {
                    pieces.extend(decoded.pieces);
                    self.provenance.extend(decoded.provenance);
                    self.sources.push(source.part);
                }
                Err(problem) => unfit.push((source.part, problem)),
            }
        }
        // Pieces of one run stay in their order.
        pieces.sort_by_key(|(seed, _)| *seed);
        for (_, rows) in &pieces {
            self.writer.write(rows)?;
        }
        Ok(unfit)
    }

    fn finish(mut self) -> Result<Encoded, ParquetError> {
        let text = serde_json::to_string(&self.provenance).map_err(|error| ParquetError::External(Box::new(error)))?;
        self.writer.append_key_value_metadata(KeyValue::new(PARTS_METADATA.to_string(), text));
        let bytes = Bytes::from(self.writer.into_inner()?);
        Ok(Encoded { sha256: sha256_hex(&bytes), bytes, sources: self.sources })
    }
}

/// The rows of a source's runs; the error is half a sentence about it.
fn decode(source: &Source, bytes: Bytes) -> Result<Decoded, String> {
    let malformed = |error: &dyn std::fmt::Display| format!("is not a curve part: {error}");
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| malformed(&error))?;
    if builder.schema().fields() != CURVE_SCHEMA.fields() {
        return Err(malformed(&"its columns are others"));
    }
    let wanted: HashSet<&str> = source.runs.iter().map(String::as_str).collect();
    let metadata = builder.metadata().file_metadata().key_value_metadata();
    let mut told = provenance(|key| metadata?.iter().find(|pair| pair.key == key)?.value.as_deref());
    told.iter_mut().for_each(|part| part.runs.retain(|run| wanted.contains(run.run.as_str())));
    let mut pieces = Vec::new();
    let mut found: HashSet<String> = HashSet::new();
    for batch in builder.with_batch_size(BATCH_ROWS).build().map_err(|error| malformed(&error))? {
        let batch = batch.map_err(|error| malformed(&error))?;
        for (run, rows) in runs_of(&batch) {
            if wanted.contains(run.as_str()) {
                let seed = rows.column_by_name("seed").map(|seeds| seeds.as_primitive::<UInt64Type>().value(0));
                pieces.push((seed.unwrap_or_default(), rows));
                found.insert(run);
            }
        }
    }
    match source.runs.iter().find(|run| !found.contains(*run)) {
        Some(run) => Err(format!("holds no rows of the run {run}")),
        None => Ok(Decoded { pieces, provenance: told }),
    }
}

/// The rows of a batch, cut where another run begins.
fn runs_of(batch: &RecordBatch) -> Vec<(String, RecordBatch)> {
    let Some(runs) = batch.column_by_name("run").map(|runs| runs.as_string::<i32>()) else { return Vec::new() };
    let mut pieces = Vec::new();
    let mut first = 0;
    for row in 1..=runs.len() {
        if row == runs.len() || runs.value(row) != runs.value(first) {
            pieces.push((runs.value(first).to_string(), batch.slice(first, row - first)));
            first = row;
        }
    }
    pieces
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{Float64Builder, ListBuilder};
    use arrow_array::types::UInt32Type;
    use arrow_array::{ArrayRef, Float64Array, StringArray, UInt32Array, UInt64Array};
    use curvefleet_proto::artifact::{PART_METADATA, RunProvenance, SCORES};

    use super::*;

    /// A part of some runs, each with its seed, of one condition and of so many epochs.
    fn part(condition: &str, runs: &[(&str, u64)], epochs: u32) -> Bytes {
        let rows: Vec<(&str, u64, u32)> =
            runs.iter().flat_map(|(run, seed)| (1..=epochs).map(move |epoch| (*run, *seed, epoch))).collect();
        let texts = |of: &dyn Fn(&(&str, u64, u32)) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
        };
        // Values whose bits are easily lost: negative zero, a subnormal number, NaN with a payload.
        let odd = [-0.0, f64::from_bits(1), f64::from_bits(0x7ff8_0000_0000_1234), 0.1 + 0.2];
        let value = |row: &(&str, u64, u32), score: usize| odd[(row.1 as usize + row.2 as usize + score) % odd.len()];
        let mut columns: Vec<ArrayRef> = vec![
            texts(&|row| row.0.to_string()),
            texts(&|_| "joints".to_string()),
            texts(&|_| condition.to_string()),
            texts(&|_| "true".to_string()),
            texts(&|_| "lstm".to_string()),
            Arc::new(rows.iter().map(|row| Some(row.1)).collect::<UInt64Array>()),
            Arc::new(rows.iter().map(|row| Some(row.2)).collect::<UInt32Array>()),
            Arc::new(rows.iter().map(|row| Some(value(row, 0))).collect::<Float64Array>()),
        ];
        for score in 0..2 * SCORES.len() {
            let values = rows.iter().map(|row| (score % 3 > 0).then(|| value(row, score)));
            columns.push(Arc::new(values.collect::<Float64Array>()));
        }
        let mut curves = ListBuilder::new(Float64Builder::new()).with_field(list_item());
        for row in &rows {
            curves.values().append_slice(&[value(row, 1), 0.5, value(row, 2)]);
            curves.append(true);
        }
        columns.push(Arc::new(curves.finish()));
        let batch = RecordBatch::try_new(CURVE_SCHEMA.clone(), columns).unwrap();
        let told = |(run, seed): &(&str, u64)| RunProvenance {
            run: run.to_string(),
            started_ms: *seed,
            ended_ms: *seed + 1,
            resumed_after_epoch: 0,
        };
        let told = PartProvenance {
            worker: condition.to_string(),
            runs: runs.iter().map(told).collect(),
            ..Default::default()
        };
        let told = KeyValue::new(PART_METADATA.to_string(), serde_json::to_string(&told).unwrap());
        let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![told])).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), CURVE_SCHEMA.clone(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap().into()
    }

    fn list_item() -> arrow_schema::FieldRef {
        match CURVE_SCHEMA.field_with_name("curve").unwrap().data_type() {
            arrow_schema::DataType::List(item) => item.clone(),
            other => panic!("{other}"),
        }
    }

    fn source(name: &str, plan_place: u64, runs: &[&str], bytes: &Bytes) -> (Source, Bytes) {
        let source = Source {
            part: name.to_string(),
            plan_place,
            size_bytes: bytes.len() as u64,
            sha256: sha256_hex(bytes),
            runs: runs.iter().map(|run| run.to_string()).collect(),
        };
        (source, bytes.clone())
    }

    /// Condition, seed, run, epoch, and the rest down to its bits.
    type Row = (String, u64, String, u32, Vec<Option<u64>>);

    /// All rows in the file's order.
    fn rows(bytes: &Bytes) -> Vec<Row> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap();
        assert_eq!(builder.schema().fields(), CURVE_SCHEMA.fields());
        let mut all = Vec::new();
        for batch in builder.build().unwrap().map(Result::unwrap) {
            let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
            let (run, condition) = (text("run"), text("condition"));
            let seed = batch.column_by_name("seed").unwrap().as_primitive::<UInt64Type>().clone();
            let epoch = batch.column_by_name("epoch").unwrap().as_primitive::<UInt32Type>().clone();
            for row in 0..batch.num_rows() {
                let mut bits = Vec::new();
                for column in batch.columns() {
                    if let Some(values) = column.as_any().downcast_ref::<Float64Array>() {
                        bits.push(values.is_valid(row).then(|| values.value(row).to_bits()));
                    }
                }
                let curve = batch.column_by_name("curve").unwrap().as_list::<i32>().value(row);
                let curve = curve.as_any().downcast_ref::<Float64Array>().unwrap();
                bits.extend(curve.values().iter().map(|value| Some(value.to_bits())));
                let (condition, run) = (condition.value(row).to_string(), run.value(row).to_string());
                all.push((condition, seed.value(row), run, epoch.value(row), bits));
            }
        }
        all
    }

    fn told(bytes: &Bytes) -> Vec<PartProvenance> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap();
        let metadata = builder.metadata().file_metadata().key_value_metadata();
        provenance(|key| metadata?.iter().find(|pair| pair.key == key)?.value.as_deref())
    }

    #[test]
    fn the_rows_of_all_sources_are_in_the_large_part_to_the_bit_by_place_and_seed() {
        // More epochs than are decoded at once, and runs of one shard in several parts.
        let epochs = BATCH_ROWS as u32 + 10;
        let first = part("a", &[("r5", 5), ("r1", 1)], epochs);
        let second = part("a", &[("r3", 3)], 4);
        let third = part("b", &[("r0", 0)], 4);
        let sources = vec![
            source("p1", 0, &["r5", "r1"], &first),
            source("p2", 0, &["r3"], &second),
            source("p3", 1, &["r0"], &third),
        ];
        let (encoded, unfit) = encode(sources).unwrap();
        assert!(unfit.is_empty());
        assert_eq!(encoded.sources, ["p1", "p2", "p3"]);
        let large = encoded.bytes;
        assert_eq!(encoded.sha256, sha256_hex(&large));
        let found = rows(&large);
        let mut expected: Vec<_> = [&first, &second, &third].into_iter().flat_map(rows).collect();
        expected.sort_by(|a, b| (&a.0, a.1, a.3).cmp(&(&b.0, b.1, b.3)));
        assert!(found == expected);
        let told: Vec<_> = told(&large).into_iter().map(|part| (part.worker, part.runs.len())).collect();
        assert_eq!(told, [("a".to_string(), 2), ("a".to_string(), 1), ("b".to_string(), 1)]);
    }

    /// A part may hold runs that another part made done.
    #[test]
    fn rows_that_do_not_count_are_left_out_with_their_provenance() {
        let bytes = part("a", &[("r1", 1), ("r2", 2)], 3);
        let large = encode(vec![source("p", 0, &["r2"], &bytes)]).unwrap().0.bytes;
        assert!(rows(&large).iter().all(|row| row.2 == "r2"));
        assert_eq!(told(&large)[0].runs.iter().map(|run| run.run.as_str()).collect::<Vec<_>>(), ["r2"]);
    }

    #[test]
    fn what_is_no_sound_part_is_left_out_and_named() {
        let sound = part("a", &[("r1", 1)], 3);
        let mut damaged = sound.to_vec();
        let middle = damaged.len() / 4;
        damaged[4..middle].fill(0xff);
        let sources = vec![
            source("rubbish", 0, &["r1"], &Bytes::from_static(b"PAR1 is not enough")),
            source("damaged", 0, &["r1"], &damaged.into()),
            source("sound", 0, &["r1"], &sound),
            source("other", 0, &["r9"], &sound),
        ];
        let (encoded, unfit) = encode(sources).unwrap();
        assert_eq!(encoded.sources, ["sound"]);
        let names: Vec<&str> = unfit.iter().map(|(part, _)| part.as_str()).collect();
        assert_eq!(names, ["rubbish", "damaged", "other"]);
        assert!(unfit[2].1.contains("no rows of the run r9"));
        assert!(rows(&encoded.bytes) == rows(&sound));
    }
}
