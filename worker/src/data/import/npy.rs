//! One NumPy array: shape and numbers, in C order.

use npyz::{DType, NpyFile, Order, TypeChar};

use crate::data::error::quoted;

/// Deepest nesting of brackets in a header; a dictionary that holds a tuple takes two. What parses headers takes twice the time for
/// each further one.
const MAX_NESTING: usize = 4;

/// An array's shape and its elements in C order (last axis fastest).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array<T> {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<T>,
}

/// Reads an array of numbers as `f32`; NaN stays NaN.
///
/// The error is a sentence that could follow the file's name.
pub(super) fn read_numbers(bytes: &[u8]) -> Result<Array<f32>, String> {
    let (file, shape) = header(bytes)?;
    let order = file.order();
    let wide: Vec<f64> = numbers(file)?;
    let narrow = wide.iter().map(|&number| number as f32).collect::<Vec<f32>>();
    if let Some(at) = narrow.iter().position(|number| number.is_infinite()) {
        return Err(format!("element {at} is {}, which is not a finite 32-bit number", wide[at]));
    }
    Ok(in_c_order(Array { shape, values: narrow }, order))
}

/// Reads a one-dimensional array of labels as text: strings as they are, whole numbers in decimal.
pub(super) fn read_labels(bytes: &[u8]) -> Result<Vec<String>, String> {
    let (file, shape) = header(bytes)?;
    if shape.len() != 1 && shape.iter().skip(1).any(|&extent| extent != 1) {
        return Err(format!(
            "the labels have the shape {shape:?}; expected one label per sequence, that is one dimension"
        ));
    }
    if let DType::Plain(kind) = file.dtype()
        && matches!(kind.type_char(), TypeChar::UnicodeStr)
    {
        return file.into_vec::<String>().map_err(|error| format!("the labels cannot be read ({error})"));
    }
    let as_name = |number: &f64| match number {
        whole if whole.fract() == 0.0 && whole.abs() < 9e15 => Ok(format!("{}", *whole as i64)),
        other => Err(format!("{other} is not a label; expected whole numbers or strings")),
    };
    numbers(file)?.iter().map(as_name).collect()
}

/// Parses the header, and checks that the data behind it is exactly as long as it says before any of it is read.
fn header(bytes: &[u8]) -> Result<(NpyFile<&[u8]>, Vec<usize>), String> {
    if nesting(bytes) > MAX_NESTING {
        return Err("the header of a NumPy array was expected (its brackets are nested too deeply)".to_string());
    }
    let file = NpyFile::new(bytes).map_err(|error| format!("the header of a NumPy array was expected ({error})"))?;
    if file.uses_pickled_array() {
        return Err(
            "the array holds Python objects; save numbers or strings, for example with astype(\"float32\")".to_string()
        );
    }
    let shape: Option<Vec<usize>> = file.shape().iter().map(|&extent| usize::try_from(extent).ok()).collect();
    let shape = shape.ok_or("the array is too large for this machine")?;
    let item = file.dtype().num_bytes().filter(|&item| item > 0);
    let item =
        item.ok_or_else(|| format!("the array has the type {}; expected numbers", quoted(&file.dtype().descr())))?;
    let expected = shape.iter().try_fold(item, |size, &extent| size.checked_mul(extent));
    let held = NpyFile::new(bytes).map(|file| file.into_inner().len()).unwrap_or(0);
    if expected != Some(held) {
        let expected = expected.map_or("too many to count".to_string(), |expected| expected.to_string());
        return Err(format!(
            "an array of shape {shape:?} needs {expected} bytes of data, but {held} follow the header; the file may be cut off"
        ));
    }
    Ok((file, shape))
}

/// How deeply brackets are nested in the header, whose length stands before it.
fn nesting(bytes: &[u8]) -> usize {
    let (start, length) = match bytes {
        [_, _, _, _, _, _, 1, _, low, high, ..] => (10, u32::from(u16::from_le_bytes([*low, *high]))),
        [_, _, _, _, _, _, _, _, a, b, c, d, ..] => (12, u32::from_le_bytes([*a, *b, *c, *d])),
        _ => return 0,
    };
    let header = bytes[start..].iter().take(length as usize);
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in header {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// The elements as they are stored, whatever numeric type and byte order they have.
fn numbers(file: NpyFile<&[u8]>) -> Result<Vec<f64>, String> {
    macro_rules! widen_first_that_fits {
        ($file:expr; $($number:ty),*) => {{
            let file = $file;
            $(let file = match file.try_data::<$number>() {
                Ok(elements) => {
                    let widened: Result<Vec<f64>, _> = elements.map(|element| element.map(|number| number as f64)).collect();
                    return widened.map_err(|error| format!("the numbers cannot be read ({error})"));
                }
                Err(file) => file,
            };)*
            file
        }};
    }
    let other = widen_first_that_fits!(file; f32, f64, i64, i32, i16, i8, u64, u32, u16, u8);
    let kind = other.dtype().descr();
    Err(format!("the array has the type {kind}; expected numbers: f4, f8, or whole numbers of 1 to 8 bytes"))
}

/// Turns Fortran order (first axis fastest) into C order.
fn in_c_order(array: Array<f32>, order: Order) -> Array<f32> {
    if order == Order::C || array.shape.len() < 2 {
        return array;
    }
    let Array { shape, values } = array;
    let mut strides = vec![1; shape.len()];
    for axis in 1..shape.len() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    let mut index = vec![0; shape.len()];
    let mut ordered = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        ordered.push(values[index.iter().zip(&strides).map(|(i, stride)| i * stride).sum::<usize>()]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    Array { shape, values: ordered }
}
