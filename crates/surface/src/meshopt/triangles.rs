//! Mode 1, triangles: each as an edge of a recent one and a corner.

use super::{damaged, push_varint, take_byte, take_varint};
use crate::error::SurfaceError;

const HEADER: u8 = 0xe1;
/// Pairs of corners that follow a new one within a single byte: 0 is a new vertex, n the n-th latest of the queue. Ours:
/// three new ones, then one or two of the latest. The last two must be 0.
const PAIRS: [u8; 16] =
    [0x00, 0x01, 0x10, 0x12, 0x21, 0x02, 0x20, 0x13, 0x31, 0x23, 0x32, 0x03, 0x30, 0x11, 0x00, 0x00];
/// A vertex or half an edge that no triangle names.
const NOTHING: u32 = u32::MAX;

/// The latest sixteen of something; 0 is the latest.
struct Queue<T> {
    items: [T; 16],
    end: usize,
}

impl<T: Copy + PartialEq> Queue<T> {
    fn new(nothing: T) -> Self {
        Self { items: [nothing; 16], end: 0 }
    }

    fn push(&mut self, item: T) {
        self.items[self.end & 15] = item;
        self.end = self.end.wrapping_add(1);
    }

    fn get(&self, back: usize) -> T {
        self.items[self.end.wrapping_sub(1 + back) & 15]
    }

    /// The first of the latest `within` that `wanted` takes.
    fn find<R>(&self, within: usize, mut wanted: impl FnMut(T) -> Option<R>) -> Option<(usize, R)> {
        (0..within).find_map(|back| wanted(self.get(back)).map(|found| (back, found)))
    }
}

/// What encoder and decoder both keep.
struct State {
    edges: Queue<[u32; 2]>,
    vertices: Queue<u32>,
    next: u32,
    last: u32,
}

impl State {
    fn new() -> Self {
        Self { edges: Queue::new([NOTHING; 2]), vertices: Queue::new(NOTHING), next: 0, last: 0 }
    }

    /// A triangle that continues the edge (a, b).
    fn continued(&mut self, [a, b, c]: [u32; 3]) {
        self.edges.push([c, b]);
        self.edges.push([a, c]);
    }

    /// A triangle of its own; `fresh` are the corners that were not in the queue.
    fn started(&mut self, [a, b, c]: [u32; 3], fresh: [bool; 3]) {
        for edge in [[b, a], [c, b], [a, c]] {
            self.edges.push(edge);
        }
        for (vertex, fresh) in [a, b, c].into_iter().zip(fresh) {
            if fresh {
                self.vertices.push(vertex);
            }
        }
    }

    fn take_next(&mut self) -> u32 {
        let vertex = self.next;
        self.next = vertex.wrapping_add(1);
        vertex
    }

    /// How a corner is written: 0 the next new vertex, 1 to 14 by its place in the queue, 15 in full.
    fn corner_code(&mut self, vertex: u32) -> u8 {
        if vertex == self.next {
            self.next = vertex.wrapping_add(1);
            return 0;
        }
        self.vertices.find(14, |v| (v == vertex).then_some(())).map_or(15, |(back, ())| back as u8 + 1)
    }

    fn push_delta(&mut self, data: &mut Vec<u8>, vertex: u32) {
        let delta = vertex.wrapping_sub(self.last) as i32;
        push_varint(data, ((delta << 1) ^ (delta >> 31)) as u32);
        self.last = vertex;
    }

    fn take_delta(&mut self, data: &mut &[u8]) -> Result<u32, SurfaceError> {
        let code = take_varint(data)?;
        self.last = self.last.wrapping_add((code >> 1) ^ 0u32.wrapping_sub(code & 1));
        Ok(self.last)
    }

    fn take_corner(&mut self, code: u8, data: &mut &[u8]) -> Result<u32, SurfaceError> {
        match code {
            0 => Ok(self.take_next()),
            15 => self.take_delta(data),
            back => Ok(self.vertices.get(usize::from(back) - 1)),
        }
    }
}

/// Encodes triangles. Their order and winding stay; which corner comes first does not.
///
/// It is shortest where neighbours follow each other and vertices are numbered as they appear.
pub(crate) fn encode_triangles(triangles: &[[u32; 3]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + 2 * triangles.len() + PAIRS.len());
    let mut data = Vec::new();
    out.push(HEADER);
    let mut state = State::new();
    for triangle in triangles {
        let code = encode_one(&mut state, &mut data, *triangle);
        out.push(code);
    }
    out.append(&mut data);
    out.extend_from_slice(&PAIRS);
    out
}

fn encode_one(state: &mut State, data: &mut Vec<u8>, [a, b, c]: [u32; 3]) -> u8 {
    let turns = [[a, b, c], [b, c, a], [c, a, b]];
    let edge = state.edges.find(15, |edge| turns.into_iter().find(|turn| turn[..2] == edge));
    if let Some((back, turn)) = edge {
        let c = turn[2];
        let place = state.vertices.find(13, |vertex| (vertex == c).then_some(())).map_or(0, |(place, ())| place as u8);
        let code = if c == state.next {
            state.next = c.wrapping_add(1);
            0
        } else if place > 0 {
            place
        } else if c == state.last.wrapping_sub(1) || c == state.last.wrapping_add(1) {
            let code = if c == state.last.wrapping_sub(1) { 13 } else { 14 };
            state.last = c;
            code
        } else {
            state.push_delta(data, c);
            15
        };
        state.continued(turn);
        if code == 0 || code > 12 {
            state.vertices.push(c);
        }
        return (back as u8) << 4 | code;
    }
    let [a, b, c] = turns.into_iter().find(|turn| turn[0] == state.next).unwrap_or(turns[0]);
    let new = a == state.next;
    if new {
        state.next = a.wrapping_add(1);
    }
    // A pair of two new vertices after one in full would mean that numbering starts anew, so they stand in full too.
    let full = !new && b == state.next && c == b.wrapping_add(1);
    let second = if full { 15 } else { state.corner_code(b) };
    let third = if full { 15 } else { state.corner_code(c) };
    let pair = second << 4 | third;
    let code = match PAIRS[..14].iter().position(|known| *known == pair) {
        Some(place) if new => 0xf0 | place as u8,
        _ => {
            data.push(pair);
            if !new {
                state.push_delta(data, a);
            }
            for (vertex, code) in [(b, second), (c, third)] {
                if code == 15 {
                    state.push_delta(data, vertex);
                }
            }
            if new { 0xfe } else { 0xff }
        }
    };
    state.started([a, b, c], [true, matches!(second, 0 | 15), matches!(third, 0 | 15)]);
    code
}

/// Decodes `count` triangles.
///
/// # Errors
/// Where the stream is not one of these. Indices are not compared with any number of vertices.
pub(crate) fn decode_triangles(stream: &[u8], count: usize) -> Result<Vec<[u32; 3]>, SurfaceError> {
    let (header, rest) = stream.split_first().ok_or_else(damaged)?;
    let (body, pairs) = rest.split_last_chunk::<16>().ok_or_else(damaged)?;
    if *header != HEADER || count > body.len() {
        return Err(damaged());
    }
    let (codes, mut data) = body.split_at(count);
    let mut state = State::new();
    let mut triangles = Vec::with_capacity(count);
    for code in codes {
        triangles.push(decode_one(&mut state, *code, pairs, &mut data)?);
    }
    if data.is_empty() { Ok(triangles) } else { Err(damaged()) }
}

fn decode_one(state: &mut State, code: u8, pairs: &[u8; 16], data: &mut &[u8]) -> Result<[u32; 3], SurfaceError> {
    if code < 0xf0 {
        let [a, b] = state.edges.get(usize::from(code >> 4));
        let third = code & 15;
        let c = match third {
            0 => state.take_next(),
            1..=12 => state.vertices.get(usize::from(third)),
            13 | 14 => {
                state.last = if third == 13 { state.last.wrapping_sub(1) } else { state.last.wrapping_add(1) };
                state.last
            }
            _ => state.take_delta(data)?,
        };
        state.continued([a, b, c]);
        if third == 0 || third > 12 {
            state.vertices.push(c);
        }
        return Ok([a, b, c]);
    }
    let pair = if code < 0xfe { pairs[usize::from(code & 15)] } else { take_byte(data)? };
    if code >= 0xfe && pair == 0 {
        state.next = 0;
    }
    let a = if code == 0xff { state.take_delta(data)? } else { state.take_next() };
    let b = state.take_corner(pair >> 4, data)?;
    let c = state.take_corner(pair & 15, data)?;
    state.started([a, b, c], [true, matches!(pair >> 4, 0 | 15), matches!(pair & 15, 0 | 15)]);
    Ok([a, b, c])
}
