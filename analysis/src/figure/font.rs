//! How wide text is in DejaVu Sans, so that labels are placed and shortened without a layout engine.
//!
//! The advances were read from the bundled fonts' `hmtx` tables. Verdana, the next font of [`FAMILY`], was drawn to the same widths.

/// The fonts that figures ask for; the first is bundled, and PNGs are drawn with it.
pub const FAMILY: &str = "'DejaVu Sans', Verdana, sans-serif";
/// DejaVu Sans with Latin, Greek and Cyrillic letters.
pub const REGULAR: &[u8] = include_bytes!("../../assets/DejaVuSans.ttf");
/// The same in bold.
pub const BOLD: &[u8] = include_bytes!("../../assets/DejaVuSans-Bold.ttf");

const UNITS_PER_EM: f64 = 2048.0;
/// Advance of letters beyond Latin-1, and of scripts that the bundled font lacks, in ems.
const OTHER_LETTER_EMS: f64 = 0.66;
const WIDE_LETTER_EMS: f64 = 1.0;
/// From here on (CJK and beyond) letters are about square.
const FIRST_WIDE: char = '\u{2E80}';

/// Advances of U+0020 to U+00FF.
#[rustfmt::skip]
const REGULAR_ADVANCES: [u16; 224] = [
    651, 821, 942, 1716, 1303, 1946, 1597, 563, 799, 799, 1024, 1716, 651, 739, 651, 690, 1303, 1303, 1303, 1303, 1303,
    1303, 1303, 1303, 1303, 1303, 690, 690, 1716, 1716, 1716, 1087, 2048, 1401, 1405, 1430, 1577, 1294, 1178, 1587, 1540,
    604, 604, 1343, 1141, 1767, 1532, 1612, 1235, 1612, 1423, 1300, 1251, 1499, 1401, 2025, 1403, 1251, 1403, 799, 690, 799,
    1716, 1024, 1024, 1255, 1300, 1126, 1300, 1260, 721, 1300, 1298, 569, 569, 1186, 569, 1995, 1298, 1253, 1300, 1300, 842,
    1067, 803, 1298, 1212, 1675, 1212, 1212, 1075, 1303, 690, 1303, 1716, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 651, 821, 1303, 1303, 1303, 1303, 690, 1024, 1024, 2048, 965, 1253,
    1716, 739, 2048, 1024, 1024, 1716, 821, 821, 1024, 1303, 1303, 651, 1024, 821, 965, 1253, 1985, 1985, 1985, 1087, 1401,
    1401, 1401, 1401, 1401, 1401, 1995, 1430, 1294, 1294, 1294, 1294, 604, 604, 604, 604, 1587, 1532, 1612, 1612, 1612,
    1612, 1612, 1716, 1612, 1499, 1499, 1499, 1499, 1251, 1239, 1290, 1255, 1255, 1255, 1255, 1255, 1255, 2011, 1126, 1260,
    1260, 1260, 1260, 569, 569, 569, 569, 1253, 1298, 1253, 1253, 1253, 1253, 1253, 1716, 1253, 1298, 1298, 1298, 1298,
    1212, 1300, 1212,
];
#[rustfmt::skip]
const BOLD_ADVANCES: [u16; 224] = [
    713, 934, 1067, 1716, 1425, 2052, 1786, 627, 936, 936, 1071, 1716, 778, 850, 778, 748, 1425, 1425, 1425, 1425, 1425,
    1425, 1425, 1425, 1425, 1425, 819, 819, 1716, 1716, 1716, 1188, 2048, 1585, 1561, 1503, 1700, 1399, 1399, 1681, 1714,
    762, 762, 1587, 1305, 2038, 1714, 1741, 1501, 1741, 1577, 1475, 1397, 1663, 1585, 2259, 1579, 1483, 1485, 936, 748, 936,
    1716, 1024, 1024, 1382, 1466, 1214, 1466, 1389, 891, 1466, 1458, 702, 702, 1362, 702, 2134, 1458, 1407, 1466, 1466,
    1010, 1219, 979, 1458, 1335, 1892, 1321, 1335, 1192, 1458, 748, 1458, 1716, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 713, 934, 1425, 1425, 1303, 1425, 748, 1024, 1024, 2048, 1155,
    1323, 1716, 850, 2048, 1024, 1024, 1716, 897, 897, 1024, 1507, 1303, 778, 1024, 897, 1155, 1323, 2120, 2120, 2120, 1188,
    1585, 1585, 1585, 1585, 1585, 1585, 2222, 1503, 1399, 1399, 1399, 1399, 762, 762, 762, 762, 1716, 1714, 1741, 1741,
    1741, 1741, 1741, 1716, 1741, 1663, 1663, 1663, 1663, 1483, 1511, 1473, 1382, 1382, 1382, 1382, 1382, 1382, 2146, 1214,
    1389, 1389, 1389, 1389, 702, 702, 702, 702, 1407, 1458, 1407, 1407, 1407, 1407, 1407, 1716, 1407, 1458, 1458, 1458,
    1458, 1335, 1466, 1335,
];

/// How heavy text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Upright.
    Regular,
    /// Bold.
    Bold,
}

/// Width of a line of text, in the unit of `size` (pixels).
pub fn width(text: &str, size: f64, weight: Weight) -> f64 {
    let advances = if weight == Weight::Bold { &BOLD_ADVANCES } else { &REGULAR_ADVANCES };
    let ems = text.chars().map(|letter| match advances.get((letter as usize).wrapping_sub(0x20)) {
        Some(units) => f64::from(*units) / UNITS_PER_EM,
        None if letter >= FIRST_WIDE => WIDE_LETTER_EMS,
        None => OTHER_LETTER_EMS,
    });
    size * ems.sum::<f64>()
}

/// The text, shortened where it is wider than `room`. Of names joined by `/`, the longest is shortened first, so that each of a
/// pair of classes keeps its beginning; ellipses stand for what is left out.
pub fn shorten(text: &str, room: f64, size: f64, weight: Weight) -> String {
    let mut parts: Vec<(&str, bool)> = text.split('/').map(|part| (part, false)).collect();
    loop {
        let cut = |(part, is_cut): &(&str, bool)| {
            if *is_cut { format!("{}…", part.trim_end()) } else { (*part).to_string() }
        };
        let shorter = parts.iter().map(cut).collect::<Vec<_>>().join("/");
        let longest = parts.iter_mut().max_by_key(|(part, _)| part.chars().count());
        match longest {
            Some(longest) if !longest.0.is_empty() && width(&shorter, size, weight) > room => {
                let end = longest.0.char_indices().next_back().map_or(0, |(index, _)| index);
                *longest = (&longest.0[..end], true);
            }
            _ => return shorter,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_end_in_an_ellipsis_and_fit() {
        let name = "no gestures/body and head together";
        let short = shorten(name, 100.0, 12.0, Weight::Bold);
        assert!(short.starts_with("no g") && short.contains("…/body"), "{short}");
        assert!(short.ends_with('…') && width(&short, 12.0, Weight::Bold) <= 100.0, "{short}");
        assert_eq!(shorten("joy", 100.0, 12.0, Weight::Regular), "joy");
    }
}
