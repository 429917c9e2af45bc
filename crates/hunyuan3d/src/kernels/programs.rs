//! What NVRTC is given: our CUDA sources with their constants.
//!
//! Text and numbers only, in every build, so that a machine without a GPU and without feature `cuda` can compile all of it
//! and look at registers and spills (`tests/nvrtc.rs`). Launching is `cuda`'s.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use burn::tensor::DType;

/// The instructions that our kernels use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// sm_80 and later: `mma.sync`, `cp.async`.
    Ampere,
    /// sm_90: `wgmma` and the bulk tensor copy engine.
    Hopper,
}

/// One of the sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Attention by `wgmma`.
    AttentionHopper,
    /// Attention by `mma.sync`.
    AttentionAmpere,
    /// Matrix product by `wgmma`.
    GemmHopper,
    /// Matrix product by `mma.sync`.
    GemmAmpere,
    /// Everything that goes row by row.
    Rows,
    /// Key selection.
    Select,
    /// Sets of a grid's samples.
    Sets,
}

const COMMON: &str = include_str!("cuda/common.cuh");
const AMPERE: &str = include_str!("cuda/ampere.cuh");
const HOPPER: &str = include_str!("cuda/hopper.cuh");

impl Source {
    /// Every source.
    pub const ALL: [Self; 7] = [
        Self::AttentionHopper,
        Self::AttentionAmpere,
        Self::GemmHopper,
        Self::GemmAmpere,
        Self::Rows,
        Self::Select,
        Self::Sets,
    ];

    fn parts(self) -> &'static [&'static str] {
        match self {
            Self::AttentionHopper => &[COMMON, HOPPER, include_str!("cuda/attention_hopper.cu")],
            Self::AttentionAmpere => &[COMMON, AMPERE, include_str!("cuda/attention_ampere.cu")],
            Self::GemmHopper => &[COMMON, HOPPER, include_str!("cuda/gemm_hopper.cu")],
            Self::GemmAmpere => &[COMMON, AMPERE, include_str!("cuda/gemm_ampere.cu")],
            Self::Rows => &[COMMON, include_str!("cuda/rows.cu")],
            Self::Select => &[COMMON, include_str!("cuda/select.cu")],
            Self::Sets => &[COMMON, include_str!("cuda/sets.cu")],
        }
    }
}

/// Of all sources together: a change of any makes new kernels.
pub static SOURCES: LazyLock<u64> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    Source::ALL.iter().for_each(|source| source.parts().hash(&mut hasher));
    hasher.finish()
});

/// A kernel with its constants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Program {
    /// Its name in the source.
    pub entry: &'static str,
    /// Where it is.
    pub source: Source,
    /// float16 or bfloat16.
    pub element: DType,
    /// Constants of the source.
    pub constants: Vec<(&'static str, u32)>,
    /// Threads of a block.
    pub threads: u32,
    /// Bytes of shared memory of a block.
    pub shared: usize,
}

impl Program {
    /// What NVRTC compiles.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("#define ELEMENT {}\n", u32::from(self.element == DType::BF16));
        for (name, value) in &self.constants {
            text += &format!("#define {name} {value}\n");
        }
        self.source.parts().iter().for_each(|part| text += part);
        text
    }
}

/// Warpgroups of Hopper's attention that multiply, and tiles in flight: three and two measured best on an H200.
pub const ATTENTION_GROUPS: usize = 3;
const ATTENTION_STAGES: usize = 2;

/// Attention.
#[must_use]
pub fn attention(generation: Generation, element: DType) -> Program {
    const GROUPS: usize = ATTENTION_GROUPS;
    const STAGES: usize = ATTENTION_STAGES;
    match generation {
        Generation::Hopper => Program {
            entry: "attention",
            source: Source::AttentionHopper,
            element,
            constants: vec![("GROUPS", GROUPS as u32), ("STAGES", STAGES as u32)],
            threads: 128 * (GROUPS as u32 + 1),
            shared: 1024 + 64 * GROUPS * 128 + STAGES * 2 * 128 * 128 + 256,
        },
        Generation::Ampere => Program {
            entry: "attention",
            source: Source::AttentionAmpere,
            element,
            constants: Vec::new(),
            threads: 256,
            shared: 128 + 128 * 128 + 4 * 64 * 128,
        },
    }
}

/// Attention of groups of queries, each to keys of its own.
#[must_use]
pub fn attention_in_groups(generation: Generation, element: DType) -> Program {
    let mut program = attention(generation, element);
    program.constants.push(("POINT_GROUPS", GROUPS_AT_ONCE as u32));
    program
}

/// A tile of Hopper's matrix product.
#[derive(Clone, Copy, Debug)]
pub struct Tile {
    /// Warpgroups that multiply, 64 rows each.
    pub groups: usize,
    /// Columns.
    pub columns: usize,
    /// Pieces of depth in flight.
    pub stages: usize,
    /// Time of an element of the tile, relative, as measured on an H200 (BENCHMARKS.md).
    pub cost: f64,
    /// The same where the product is deep.
    pub deep: f64,
}

/// The tiles to choose from.
pub const TILES: [Tile; 3] = [
    Tile { groups: 2, columns: 256, stages: 4, cost: 1.0, deep: 1.2 },
    Tile { groups: 3, columns: 128, stages: 5, cost: 1.06, deep: 1.0 },
    Tile { groups: 2, columns: 128, stages: 6, cost: 1.08, deep: 1.08 },
];

/// A matrix product by `wgmma`, with what follows it by number.
#[must_use]
pub fn gemm_hopper(tile: &Tile, epilogue: u32, element: DType) -> Program {
    let rows = 64 * tile.groups;
    Program {
        entry: "gemm",
        source: Source::GemmHopper,
        element,
        constants: vec![
            ("GROUPS", tile.groups as u32),
            ("COLUMNS", tile.columns as u32),
            ("STAGES", tile.stages as u32),
            ("EPILOGUE", epilogue),
        ],
        threads: 128 * (tile.groups as u32 + 1),
        shared: 1024 + tile.stages * (rows + tile.columns) * 128 + rows * 80 + 256,
    }
}

/// A matrix product by `mma.sync`.
#[must_use]
pub fn gemm_ampere(epilogue: u32, element: DType) -> Program {
    Program {
        entry: "gemm",
        source: Source::GemmAmpere,
        element,
        constants: vec![("EPILOGUE", epilogue)],
        threads: 256,
        shared: 128 + 4 * 2 * 128 * 64,
    }
}

/// A kernel of those that go row by row.
#[must_use]
pub fn rows(entry: &'static str, threads: u32, element: DType) -> Program {
    Program { entry, source: Source::Rows, element, constants: Vec::new(), threads, shared: 0 }
}

/// Channels of the widest row that [`whole_rows`] takes.
pub const WIDEST_ROW: usize = 2048;

/// One of those whose warps hold whole rows, of up to `width` channels, in registers.
#[must_use]
pub fn whole_rows(entry: &'static str, width: usize, element: DType) -> Program {
    let most = if width <= WIDEST_ROW / 2 { WIDEST_ROW / 2 } else { WIDEST_ROW };
    Program { constants: vec![("MOST", most as u32)], ..rows(entry, 256, element) }
}

/// Points' embeddings of so many channels with what their layer norm divides by.
#[must_use]
pub fn fourier_scaled(channels: usize, element: DType) -> Program {
    let constants = vec![("CHANNELS", (channels + 1).next_multiple_of(4) as u32)];
    Program { constants, ..rows("fourier_scaled", 256, element) }
}

/// [`gemm_hopper`]'s number for queries, keys and values whose heads get RMS norms.
pub const HEADS_WITH_RMS_NORM: u32 = 7;
/// Its number for heads that get a layer norm, of rows that are scaled.
pub const SCALED_HEADS_WITH_LAYER_NORM: u32 = 8;
/// Channels of a head in both.
pub const HEAD: usize = 64;

/// Groups whose keys are selected, and whose points attend to them, in one launch, at the most.
pub const GROUPS_AT_ONCE: usize = 16;

/// Key selection from up to `places` keys.
#[must_use]
pub fn select(places: usize, element: DType) -> Program {
    Program {
        entry: "select_keys",
        source: Source::Select,
        element,
        constants: vec![("MOST", places as u32), ("GROUPS", GROUPS_AT_ONCE as u32)],
        threads: 1024,
        shared: places * 8,
    }
}

/// A kernel of those that work on sets of a grid's samples.
#[must_use]
pub fn sets(entry: &'static str) -> Program {
    Program { entry, source: Source::Sets, element: DType::F16, constants: Vec::new(), threads: 256, shared: 0 }
}

/// The one that sorts samples into sets by values in a precision.
#[must_use]
pub fn set_values(element: DType) -> Program {
    let constants = if element == DType::F32 { vec![("WIDE", 1)] } else { Vec::new() };
    Program { element, constants, ..sets("set_values") }
}

/// Everything that a generation may be asked to compile; of kernels that are one source one of each of its constants.
#[must_use]
pub fn all(generation: Generation) -> Vec<Program> {
    let of_element = |element| {
        let products = (0..=SCALED_HEADS_WITH_LAYER_NORM).flat_map(move |epilogue| match generation {
            Generation::Hopper => TILES.iter().map(|tile| gemm_hopper(tile, epilogue, element)).collect(),
            Generation::Ampere if epilogue < HEADS_WITH_RMS_NORM => vec![gemm_ampere(epilogue, element)],
            Generation::Ampere => Vec::new(),
        });
        let norms = [WIDEST_ROW / 2, WIDEST_ROW].map(|width| whole_rows("layer_norm", width, element));
        let others = [attention(generation, element)].into_iter().chain(norms);
        products.chain(others).chain([1024, 4096].map(|places| select(places, element)))
    };
    let sets = [DType::F16, DType::BF16, DType::F32].map(set_values);
    let half = [DType::F16, DType::BF16];
    let in_groups = half.map(|element| attention_in_groups(generation, element));
    half.into_iter().flat_map(of_element).chain(in_groups).chain(sets).collect()
}
