//! Colours: viridis for accuracies, and one colour per condition for lines.

/// Text.
pub const INK: &str = "#222222";
/// Less important text.
pub const SOFT_INK: &str = "#5a5a5a";
/// Axis lines.
pub const AXIS: &str = "#6b6b6b";
/// Grid lines.
pub const GRID: &str = "#e7e7e7";
/// The shuffled control, reserved for it.
pub const CONTROL: &str = "#8a8a8a";
/// Lines that stand behind another one.
pub const FAINT: &str = "#d4d4d4";
/// Cells and panels without data.
pub const NO_DATA: &str = "#f0f0f0";
/// [`NO_DATA`] as pixels.
pub const NO_DATA_RGB: [u8; 3] = [0xf0, 0xf0, 0xf0];

/// Matplotlib's viridis (CC0, Smith and van der Walt 2015) at 33 even places; perceptually uniform, readable in grey and by
/// colour-blind readers.
#[rustfmt::skip]
const VIRIDIS: [[u8; 3]; 33] = [
    [68, 1, 84], [71, 13, 96], [72, 24, 106], [72, 35, 116], [71, 45, 123], [69, 55, 129], [66, 64, 134], [62, 73, 137],
    [59, 82, 139], [55, 91, 141], [51, 99, 141], [47, 107, 142], [44, 114, 142], [41, 122, 142], [38, 130, 142], [35, 137,
    142], [33, 145, 140], [31, 151, 139], [31, 159, 136], [33, 166, 133], [39, 173, 129], [49, 181, 123], [61, 188, 116],
    [76, 194, 108], [92, 200, 99], [110, 206, 88], [129, 211, 77], [149, 216, 64], [170, 220, 50], [192, 223, 37], [213,
    226, 26], [234, 229, 26], [253, 231, 37],
];

/// Viridis at `share` between 0 and 1 (clamped).
pub fn viridis(share: f64) -> [u8; 3] {
    between(&VIRIDIS, share)
}

/// Cividis (Nuñez, Anderton and Renslow 2018, CC0) at 33 even places: as viridis, and the same to most colour-blind readers. For
/// differences, so that nobody takes them for accuracies.
#[rustfmt::skip]
const CIVIDIS: [[u8; 3]; 33] = [
    [0, 34, 78], [0, 40, 91], [0, 46, 106], [5, 51, 113], [26, 56, 111], [39, 62, 110], [50, 67, 109], [59, 73, 108],
    [67, 78, 108], [75, 84, 108], [83, 90, 109], [90, 95, 110], [97, 101, 111], [104, 106, 113], [111, 112, 115],
    [118, 118, 118], [125, 124, 120], [132, 130, 121], [140, 136, 120], [147, 142, 120], [155, 148, 118],
    [163, 154, 116], [171, 160, 114], [180, 167, 111], [188, 174, 108], [196, 180, 104], [205, 187, 99], [213, 194, 94],
    [222, 201, 88], [231, 209, 80], [240, 216, 70], [249, 224, 58], [254, 232, 56],
];

/// Cividis at `share` between 0 and 1 (clamped).
pub fn cividis(share: f64) -> [u8; 3] {
    between(&CIVIDIS, share)
}

fn between(colours: &[[u8; 3]; 33], share: f64) -> [u8; 3] {
    let place = share.clamp(0.0, 1.0) * (colours.len() - 1) as f64;
    let low = (place.floor() as usize).min(colours.len() - 2);
    let rest = place - low as f64;
    std::array::from_fn(|i| {
        let (a, b) = (f64::from(colours[low][i]), f64::from(colours[low + 1][i]));
        (a + rest * (b - a)).round() as u8
    })
}

/// Line colours after Paul Tol's muted and vibrant schemes and Okabe and Ito, ordered so that neighbours differ in hue and
/// lightness. Lines carry numbers besides, so that nobody has to tell fifteen colours apart.
const LINES: [&str; 15] = [
    "#332288", "#ee7733", "#117733", "#cc3377", "#33a8dd", "#8c564b", "#999933", "#882255", "#009988", "#dd4433",
    "#0066b8", "#c9a400", "#aa55cc", "#1a1a1a", "#e58ba5",
];

/// The colour of the `index`-th condition; they come round after fifteen.
pub fn line(index: usize) -> &'static str {
    LINES[index % LINES.len()]
}

/// The dash pattern of the `index`-th condition: solid for the first fifteen, then other patterns.
pub fn dashes(index: usize) -> Option<&'static str> {
    const PATTERNS: [&str; 3] = ["5 2.5", "1.5 2", "7 2 1.5 2"];
    (index >= LINES.len()).then(|| PATTERNS[(index / LINES.len() - 1) % PATTERNS.len()])
}
