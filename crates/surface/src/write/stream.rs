//! From items to bytes, in bounded memory and on all cores.

use std::io::{self, Write};

use rayon::prelude::*;

/// Items that one task turns into bytes, and tasks at a time: some megabytes.
const CHUNK: usize = 8192;
const CHUNKS: usize = 16;

/// Appends the bytes of every item in order and hands them on.
///
/// While a piece is handed on, by the calling thread, the next is made.
pub(super) fn stream<T: Sync>(
    items: &[T],
    out: &mut impl Write,
    each: impl Fn(&mut Vec<u8>, &T) + Sync,
) -> io::Result<()> {
    pieces(items, |piece| out.write_all(piece), |chunk, bytes| chunk.iter().for_each(|item| each(bytes, item)))
}

/// Turns chunks of items into bytes with `make`, and passes each to `take` in order.
pub(super) fn pieces<T: Sync>(
    items: &[T],
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
    make: impl Fn(&[T], &mut Vec<u8>) + Sync,
) -> io::Result<()> {
    let format = |window: &[T], parts: &mut Vec<Vec<u8>>| {
        parts.resize_with(window.len().div_ceil(CHUNK), Vec::new);
        parts.par_iter_mut().zip(window.par_chunks(CHUNK)).for_each(|(bytes, chunk)| {
            bytes.clear();
            make(chunk, bytes);
        });
    };
    let (mut ready, mut coming): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
    for window in items.chunks(CHUNK * CHUNKS) {
        let (format, next) = (&format, &mut coming);
        rayon::in_place_scope(|scope| {
            scope.spawn(move |_| format(window, next));
            ready.iter().try_for_each(|part| take(part))
        })?;
        std::mem::swap(&mut ready, &mut coming);
    }
    ready.iter().try_for_each(|part| take(part))
}
