//! A finished figure.

use super::error::FigureError;
use super::pdf;
use super::png;
use super::scene::Scene;
use super::svg;
use std::io::Write as _;
use std::path::Path;

/// A finished figure: SVG text, and PDF or PNG of the same scene.
#[derive(Debug, Clone)]
pub struct Figure {
    svg: String,
    scene: Scene,
    title: String,
    cells: Vec<String>,
}

impl Figure {
    pub(crate) fn new(scene: Scene, title: &str, cells: &[String]) -> Result<Self, FigureError> {
        if scene.height > pdf::MAX_SIDE {
            return Err(FigureError::TooLarge {
                what: format!("{:.0} pt of figure", scene.height),
                available: pdf::MAX_SIDE,
                hint: "draw a part of it; the text of tokens can be written as HTML",
            });
        }
        let svg = svg::write(&scene, title, cells);
        Ok(Self {
            svg,
            scene,
            title: title.to_owned(),
            cells: cells.to_vec(),
        })
    }

    /// Width and height in points.
    #[must_use]
    pub fn size(&self) -> (f64, f64) {
        (self.scene.width, self.scene.height)
    }

    /// Ids of the records that the numbers come from.
    #[must_use]
    pub fn cells(&self) -> &[String] {
        &self.cells
    }

    /// The figure as SVG text. Its font is named, not embedded.
    #[must_use]
    pub fn svg(&self) -> &str {
        &self.svg
    }

    /// The figure as a PDF of one page, its font embedded.
    ///
    /// # Errors
    /// When the font cannot be cut down to the glyphs in use.
    pub fn pdf(&self) -> Result<Vec<u8>, FigureError> {
        pdf::write(&self.scene, &self.title, &self.cells)
    }

    /// The figure as a PNG at a resolution in dots per inch.
    ///
    /// # Errors
    /// When the resolution gives no pixel or too many.
    pub fn png(&self, dots_per_inch: f64) -> Result<Vec<u8>, FigureError> {
        png::write(&self.scene, &self.title, &self.cells, dots_per_inch)
    }

    /// Writes the SVG, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_svg(&self, path: &Path) -> Result<(), FigureError> {
        write(path, self.svg.as_bytes())
    }

    /// Writes the PDF, whole or not at all.
    ///
    /// # Errors
    /// As [`Figure::pdf`], and when the file cannot be written.
    pub fn write_pdf(&self, path: &Path) -> Result<(), FigureError> {
        write(path, &self.pdf()?)
    }

    /// Writes the PNG, whole or not at all.
    ///
    /// # Errors
    /// As [`Figure::png`], and when the file cannot be written.
    pub fn write_png(&self, path: &Path, dots_per_inch: f64) -> Result<(), FigureError> {
        write(path, &self.png(dots_per_inch)?)
    }
}

/// Writes beside the file first, so that no reader sees half of it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), FigureError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let written = tempfile::NamedTempFile::new_in(folder).and_then(|mut file| {
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        make_readable(file.as_file())?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    });
    written.map_err(|source| FigureError::Write {
        path: path.to_owned(),
        source,
    })
}

/// A temporary file is its owner's alone; a figure is for everyone.
fn make_readable(file: &std::fs::File) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}
