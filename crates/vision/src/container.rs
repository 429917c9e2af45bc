//! Is the file whole? Walks the containers of those kinds whose decoders forgive a missing end, without decoding.
//!
//! A picture that was cut off on its way would otherwise come out grey below some row, and end as a wrong mesh.
//! Bytes after the end are allowed: cameras append previews and makers' data.

use crate::VisionError;

/// Big- or little-endian reads that cannot run over the end.
fn be16(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?)))
}

fn be32(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize)
}

fn le32(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize)
}

fn cut_off(kind: &'static str) -> VisionError {
    VisionError::damaged(kind, "the file ends too early")
}

/// PNG: every chunk lies within the file, and the last is `IEND`.
pub(crate) fn check_png(bytes: &[u8]) -> Result<(), VisionError> {
    let mut at = 8;
    loop {
        let length = be32(bytes, at).ok_or_else(|| cut_off("png"))?;
        let end = at + 12 + length;
        let name = bytes.get(at + 4..at + 8);
        if end > bytes.len() {
            return Err(cut_off("png"));
        }
        if name == Some(b"IEND") {
            return Ok(());
        }
        at = end;
    }
}

/// WebP: the RIFF chunk's length lies within the file.
pub(crate) fn check_webp(bytes: &[u8]) -> Result<(), VisionError> {
    match le32(bytes, 4) {
        Some(length) if length + 8 <= bytes.len() => Ok(()),
        _ => Err(cut_off("webp")),
    }
}

/// BMP: the file is as long as its header says, where it says so.
pub(crate) fn check_bmp(bytes: &[u8]) -> Result<(), VisionError> {
    match le32(bytes, 2) {
        Some(length) if length <= bytes.len() => Ok(()),
        _ => Err(cut_off("bmp")),
    }
}

/// GIF: all blocks lie within the file, at least one is a picture, and the trailer is there.
pub(crate) fn check_gif(bytes: &[u8]) -> Result<(), VisionError> {
    gif_has_end(bytes).filter(|&pictures| pictures > 0).map(|_| ()).ok_or_else(|| cut_off("gif"))
}

/// The number of pictures up to the trailer.
fn gif_has_end(bytes: &[u8]) -> Option<usize> {
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let mut at = 13 + table(*bytes.get(10)?);
    let mut pictures = 0;
    loop {
        match *bytes.get(at)? {
            0x3B => return Some(pictures),
            0x21 => at += 2,
            0x2C => {
                at += 11 + table(*bytes.get(at + 9)?);
                pictures += 1;
            }
            _ => return None,
        }
        loop {
            let length = usize::from(*bytes.get(at)?);
            at += 1 + length;
            if length == 0 {
                break;
            }
        }
    }
}

/// What a JPEG's markers say before anything is decoded.
#[derive(Debug)]
pub(crate) struct JpegOutline {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) components: usize,
    /// Huffman-coded, every block written once.
    pub(crate) sequential: bool,
    pub(crate) scans: usize,
    /// The stream from start to end marker with stray bytes between segments left out, so that a strict decoder may
    /// take what is left at its word.
    pub(crate) clean: Vec<u8>,
}

/// Walks a JPEG's markers and entropy-coded segments up to the end marker.
///
/// # Errors
/// [`VisionError::Damaged`] without an end marker, a frame header or a scan.
pub(crate) fn outline_jpeg(bytes: &[u8]) -> Result<JpegOutline, VisionError> {
    let mut outline =
        JpegOutline { width: 0, height: 0, components: 0, sequential: false, scans: 0, clean: vec![0xFF, 0xD8] };
    walk_jpeg(bytes, &mut outline).ok_or_else(|| cut_off("jpeg"))?;
    if outline.components == 0 || outline.scans == 0 {
        return Err(VisionError::damaged("jpeg", "it has no picture data"));
    }
    Ok(outline)
}

fn walk_jpeg(bytes: &[u8], outline: &mut JpegOutline) -> Option<()> {
    let mut at = 2;
    loop {
        // To the next marker, over stray and fill bytes.
        while bytes.get(at..at + 2)? != [0xFF, *bytes.get(at + 1)?]
            || matches!(bytes[at + 1], 0x00 | 0xFF | 0xD0..=0xD8 | 0x01)
        {
            at += 1;
        }
        let marker = bytes[at + 1];
        if marker == 0xD9 {
            outline.clean.extend([0xFF, 0xD9]);
            return Some(());
        }
        let length = be16(bytes, at + 2)?.max(2);
        let segment = bytes.get(at..at + 2 + length)?;
        outline.clean.extend_from_slice(segment);
        at += 2 + length;
        match marker {
            0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                outline.height = be16(segment, 5)? as u32;
                outline.width = be16(segment, 7)? as u32;
                outline.components = usize::from(*segment.get(9)?);
                outline.sequential = matches!(marker, 0xC0 | 0xC1);
            }
            0xDA => {
                outline.scans += 1;
                // The entropy-coded segment lasts until a marker that is neither a stuffed zero nor a restart.
                let start = at;
                while *bytes.get(at)? != 0xFF || matches!(*bytes.get(at + 1)?, 0x00 | 0xFF | 0xD0..=0xD7) {
                    at += 1;
                }
                outline.clean.extend_from_slice(&bytes[start..at]);
            }
            _ => {}
        }
    }
}
