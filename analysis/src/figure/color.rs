//! Colours and the sequential colour map.

/// An opaque colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Color {
    pub(crate) red: u8,
    pub(crate) green: u8,
    pub(crate) blue: u8,
}

impl Color {
    pub(crate) const fn new(red: u8, green: u8, blue: u8) -> Self {
        Self { red, green, blue }
    }

    /// `#rrggbb`.
    pub(crate) fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }

    /// Red, green and blue from 0 to 1.
    pub(crate) fn unit(self) -> [f32; 3] {
        [self.red, self.green, self.blue].map(|channel| f32::from(channel) / 255.0)
    }

    /// Relative luminance of WCAG 2.2, 0 for black to 1 for white.
    pub(crate) fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(self.red) + 0.7152 * linear(self.green) + 0.0722 * linear(self.blue)
    }

    /// Black or white, whichever stands out more against this colour.
    pub(crate) fn contrasting(self) -> Self {
        let luminance = self.luminance();
        // Contrast ratios of WCAG 2.2: (lighter + 0.05) / (darker + 0.05).
        if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) {
            Self::new(0, 0, 0)
        } else {
            Self::new(255, 255, 255)
        }
    }

    fn mix(self, other: Self, share: f64) -> Self {
        let mix = |a: u8, b: u8| {
            (f64::from(a) + (f64::from(b) - f64::from(a)) * share)
                .round()
                .clamp(0.0, 255.0) as u8
        };
        Self::new(
            mix(self.red, other.red),
            mix(self.green, other.green),
            mix(self.blue, other.blue),
        )
    }
}

/// Nodes of the map "viridis" (van der Walt and Smith, 2015; public domain), equally spaced.
const VIRIDIS: [Color; 11] = [
    Color::new(0x44, 0x01, 0x54),
    Color::new(0x48, 0x25, 0x76),
    Color::new(0x41, 0x44, 0x87),
    Color::new(0x35, 0x5f, 0x8d),
    Color::new(0x2a, 0x78, 0x8e),
    Color::new(0x21, 0x91, 0x8c),
    Color::new(0x22, 0xa8, 0x84),
    Color::new(0x44, 0xbf, 0x70),
    Color::new(0x7a, 0xd1, 0x51),
    Color::new(0xbd, 0xdf, 0x26),
    Color::new(0xfd, 0xe7, 0x25),
];

/// The sequential map, dark at 0 and light at 1. Values outside are clamped.
pub(crate) fn sequential(share: f64) -> Color {
    let place = share.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f64;
    let below = (place.floor() as usize).min(VIRIDIS.len() - 2);
    VIRIDIS[below].mix(VIRIDIS[below + 1], place - below as f64)
}

/// Where the usual bit-widths stand on the map, light to dark; chosen for even steps between
/// those that strategies use.
const BITS: [(f64, f64); 7] = [
    (0.0, 1.0),
    (1.0, 0.97),
    (2.0, 0.88),
    (3.0, 0.71),
    (4.0, 0.53),
    (8.0, 0.28),
    (16.0, 0.0),
];

/// The colour of a bit-width: white for nothing kept, then the darker the more bits. Means
/// between two widths lie between their colours.
pub(crate) fn bits(bits: f64) -> Color {
    if bits <= 0.0 {
        return Color::new(0xff, 0xff, 0xff);
    }
    let above = BITS
        .iter()
        .position(|(width, _)| bits <= *width)
        .unwrap_or(BITS.len() - 1)
        .max(1);
    let ((less, light), (more, dark)) = (BITS[above - 1], BITS[above]);
    let share = ((bits - less) / (more - less)).clamp(0.0, 1.0);
    sequential(light + (dark - light) * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_gets_lighter_all_the_way() {
        let light: Vec<f64> = (0..=100)
            .map(|i| sequential(f64::from(i) / 100.0).luminance())
            .collect();
        assert!(light.windows(2).all(|pair| pair[0] < pair[1]), "{light:?}");
    }

    #[test]
    fn more_bits_are_darker() {
        let light: Vec<f64> = [0.0, 1.0, 2.0, 3.0, 4.0, 8.0, 16.0]
            .map(|b| bits(b).luminance())
            .to_vec();
        assert!(
            light.windows(2).all(|pair| pair[0] > pair[1] + 0.02),
            "{light:?}"
        );
    }

    #[test]
    fn text_on_any_colour_of_the_map_can_be_read() {
        for i in 0..=100 {
            let ground = sequential(f64::from(i) / 100.0).luminance();
            let text = sequential(f64::from(i) / 100.0).contrasting().luminance();
            let (lighter, darker) = (ground.max(text) + 0.05, ground.min(text) + 0.05);
            assert!(lighter / darker >= 4.5, "at {i}%: {}", lighter / darker);
        }
    }
}
