//! The `.ts` format of the UEA and aeon archives: a header of tags, then one sequence per line, its dimensions separated by
//! colons, their values by commas, and the class last: `1.0,2.0,3.0:4.0,5.0,6.0:walking`. Missing values are `?` or `NaN`.

use std::path::Path;
use std::sync::Arc;

use super::Job;
use super::collect::{Collector, Item, Place};
use super::lines::Lines;
use super::ts_header::{self, Header};
use crate::data::error::{counted, file_name, quoted};
use crate::data::{DataError, Dataset};

/// What all files of one data set must agree on.
struct Agreed {
    classes: Vec<String>,
    features: Option<usize>,
    name: String,
}

/// Reads the files of a job as one data set.
pub(super) fn read(job: &Job) -> Result<Dataset, DataError> {
    let mut collector = Collector::new(job.source);
    let mut agreed: Option<Agreed> = None;
    for path in &job.files {
        read_file(path, &mut agreed, &mut collector)?;
    }
    let Some(agreed) = agreed else {
        return collector.finish(String::new(), Vec::new(), None);
    };
    let features = (1..=agreed.features.unwrap_or(0)).map(|feature| format!("dim_{feature}")).collect();
    collector.finish(agreed.name, features, Some(agreed.classes))
}

fn read_file(path: &Path, agreed: &mut Option<Agreed>, collector: &mut Collector) -> Result<(), DataError> {
    let mut lines = Lines::open(path)?;
    let header = ts_header::read(&mut lines)?;
    let agreed = match agreed {
        Some(agreed) => agreed,
        None => agreed.insert(Agreed {
            classes: header.classes.clone(),
            features: None,
            name: header.problem_name.clone().unwrap_or_else(|| file_name(&path.with_extension(""))),
        }),
    };
    if !same_names(&agreed.classes, &header.classes) {
        let problem = format!(
            "the classes are {}, but those of the first file are {}",
            header.classes.join(" "),
            agreed.classes.join(" ")
        );
        return Err(DataError::line(path, header.class_line, problem));
    }
    let shared: Arc<Path> = path.into();
    let before = collector.len();
    let mut length = header.series_length;
    let mut unannounced = 0u64;
    while let Some(line) = lines.next_line()? {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let case = parse_case(line, &header).map_err(|problem| lines.error(problem))?;
        let expected = *agreed.features.get_or_insert(header.dimensions.unwrap_or(case.features));
        if case.features != expected {
            return Err(
                lines.error(format!("{} where {expected} were expected", counted(case.features as u64, "dimension")))
            );
        }
        if header.equal_length && case.steps != *length.get_or_insert(case.steps) {
            let promised = length.unwrap_or(case.steps);
            return Err(lines.error(format!(
                "{} time steps where {promised} were expected, as the header says @equalLength true",
                case.steps
            )));
        }
        unannounced += u64::from(header.missing == Some(false) && case.values.iter().any(|value| value.is_nan()));
        let steps = u32::try_from(case.steps).map_err(|_| lines.error("more than 2^32 time steps"))?;
        let place = Place::Line(shared.clone(), lines.number());
        collector.add(Item { place, class: case.class, steps, values: case.values, text: None }, case.features)?;
    }
    if collector.len() == before {
        return Err(lines.error("no sequence follows @data; expected one per line"));
    }
    if unannounced > 0 {
        let sequences = counted(unannounced, "sequence");
        collector.notes.push(format!(
            "{}: {sequences} with missing values, although the header says @missing false",
            file_name(path)
        ));
    }
    collector.add_source(lines.into_source(collector.len() - before));
    Ok(())
}

fn same_names(a: &[String], b: &[String]) -> bool {
    a.len() == b.len() && a.iter().all(|name| b.contains(name))
}

/// One line of data.
struct Case {
    features: usize,
    steps: usize,
    /// `[time, feature]`, NaN where missing.
    values: Vec<f32>,
    class: String,
}

/// Takes a line of data apart; the error is a sentence without its place.
fn parse_case(line: &str, header: &Header) -> Result<Case, String> {
    let Some((series, class)) = line.rsplit_once(':') else {
        return Err(format!("expected values, a colon and a class, found {} without a colon", quoted(line)));
    };
    let class = class.trim().to_string();
    if !header.classes.contains(&class) {
        return Err(format!(
            "the class {} is not among those of the header ({})",
            quoted(&class),
            header.classes.join(" ")
        ));
    }
    let mut dimensions = Vec::new();
    for (at, values) in series.split(':').enumerate() {
        dimensions.push(parse_dimension(values).map_err(|problem| format!("dimension {}: {problem}", at + 1))?);
    }
    let steps = dimensions.iter().map(Vec::len).max().unwrap_or(0);
    for (at, dimension) in dimensions.iter_mut().enumerate() {
        // A lone `?` stands for a dimension that is missing throughout.
        if dimension.len() == 1 && dimension[0].is_nan() {
            dimension.resize(steps, f32::NAN);
        }
        if dimension.len() != steps {
            return Err(format!(
                "dimension {} has {}, but another of the same sequence has {steps}",
                at + 1,
                counted(dimension.len() as u64, "value")
            ));
        }
    }
    let features = dimensions.len();
    let values = (0..steps * features).map(|at| dimensions[at % features][at / features]).collect();
    Ok(Case { features, steps, values, class })
}

fn parse_dimension(values: &str) -> Result<Vec<f32>, String> {
    let numbers = values.split(',').enumerate();
    numbers
        .map(|(at, value)| parse_value(value.trim()).map_err(|problem| format!("value {}: {problem}", at + 1)))
        .collect()
}

/// Numbers are read in double precision and then rounded, as NumPy-based tools do.
fn parse_value(value: &str) -> Result<f32, String> {
    if value == "?" || value.eq_ignore_ascii_case("nan") {
        return Ok(f32::NAN);
    }
    match value.parse::<f64>() {
        Ok(number) if (number as f32).is_finite() => Ok(number as f32),
        Ok(_) => Err(format!("{} is not a finite 32-bit number", quoted(value))),
        Err(_) => Err(format!("expected a number or ?, found {}", quoted(value))),
    }
}
