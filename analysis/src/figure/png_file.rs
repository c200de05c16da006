//! The PNG format (W3C PNG, second edition), as far as opaque pictures need it.
//!
//! Written here because the bytes must not depend on which deflate library another package of
//! the build asks for.

use miniz_oxide::deflate::compress_to_vec_zlib;

/// Level of the deflate stream.
const COMPRESSION: u8 = 8;
/// The filter that stores the difference to the row above: flat areas become zeros.
const UP: u8 = 2;
/// Red, green and blue, eight bits each (section 11.2.2).
const TRUECOLOR: [u8; 5] = [8, 2, 0, 0, 0];

/// Writes a picture of three bytes a pixel, with comments by keyword.
pub(crate) fn write(width: u32, rgb: &[u8], comments: &[(&str, &str)]) -> Vec<u8> {
    let stride = (width as usize * 3).max(1);
    let height = (rgb.len() / stride) as u32;
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &TRUECOLOR].concat();
    chunk(&mut file, *b"IHDR", &header);
    for (keyword, text) in comments {
        // International text, not compressed, of no named language (section 11.3.4.5).
        let data = [keyword.as_bytes(), &[0; 5], text.as_bytes()].concat();
        chunk(&mut file, *b"iTXt", &data);
    }
    let mut rows = Vec::with_capacity(rgb.len() + height as usize);
    let mut above = vec![0; stride];
    for row in rgb.chunks_exact(stride) {
        rows.push(UP);
        rows.extend(
            row.iter()
                .zip(&above)
                .map(|(byte, above)| byte.wrapping_sub(*above)),
        );
        above.copy_from_slice(row);
    }
    chunk(
        &mut file,
        *b"IDAT",
        &compress_to_vec_zlib(&rows, COMPRESSION),
    );
    chunk(&mut file, *b"IEND", &[]);
    file
}

fn chunk(file: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    file.extend((data.len() as u32).to_be_bytes());
    let start = file.len();
    file.extend(kind);
    file.extend(data);
    let sum = checksum(&file[start..]);
    file.extend(sum.to_be_bytes());
}

/// CRC-32 of ISO 3309, as in annex D.
fn checksum(bytes: &[u8]) -> u32 {
    let table: [u32; 256] = std::array::from_fn(|index| {
        (0..8).fold(index as u32, |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 * (sum & 1))
        })
    });
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        table[((sum ^ u32::from(*byte)) & 0xff) as usize] ^ (sum >> 8)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_every_empty_end() {
        // The last twelve bytes of any PNG.
        let file = write(1, &[1, 2, 3], &[]);
        assert_eq!(file[file.len() - 12..], *b"\0\0\0\0IEND\xaeB`\x82");
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn pixels_come_back() {
        let rgb: Vec<u8> = (0..36).map(|byte| byte * 7).collect();
        let file = write(4, &rgb, &[("Cells", "α β")]);
        let at = file
            .windows(4)
            .position(|window| window == b"IDAT")
            .unwrap();
        let length = u32::from_be_bytes(file[at - 4..at].try_into().unwrap()) as usize;
        let rows =
            miniz_oxide::inflate::decompress_to_vec_zlib(&file[at + 4..at + 4 + length]).unwrap();
        let mut above = vec![0_u8; 12];
        let mut found: Vec<u8> = Vec::new();
        for row in rows.chunks(13) {
            assert_eq!(row[0], UP);
            for (above, byte) in above.iter_mut().zip(&row[1..]) {
                *above = above.wrapping_add(*byte);
            }
            found.extend(&above);
        }
        assert_eq!(found, rgb);
    }
}
