//! Our kernels' sources, as CubeCL compiles and keeps them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use burn::tensor::DType;
use cubecl::cuda::{CudaCompiler, CudaRuntime};
use cubecl::prelude::{CompiledKernel, ExecutionMode, KernelDefinition, KernelId, KernelMetadata, Scope, StorageType};
use cubecl::{CompilationError, Compiler, CubeDim, CubeTask, Runtime};
use cubecl_cpp::shared::{Elem, Item, SharedMemory};

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
}

const COMMON: &str = include_str!("common.cuh");
const AMPERE: &str = include_str!("ampere.cuh");
const HOPPER: &str = include_str!("hopper.cuh");

impl Source {
    /// Every source.
    pub const ALL: [Self; 6] =
        [Self::AttentionHopper, Self::AttentionAmpere, Self::GemmHopper, Self::GemmAmpere, Self::Rows, Self::Select];

    fn parts(self) -> &'static [&'static str] {
        match self {
            Self::AttentionHopper => &[COMMON, HOPPER, include_str!("attention_hopper.cu")],
            Self::AttentionAmpere => &[COMMON, AMPERE, include_str!("attention_ampere.cu")],
            Self::GemmHopper => &[COMMON, HOPPER, include_str!("gemm_hopper.cu")],
            Self::GemmAmpere => &[COMMON, AMPERE, include_str!("gemm_ampere.cu")],
            Self::Rows => &[COMMON, include_str!("rows.cu")],
            Self::Select => &[COMMON, include_str!("select.cu")],
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

impl KernelMetadata for Program {
    fn name(&self) -> &'static str {
        self.entry
    }

    fn id(&self) -> KernelId {
        KernelId::new::<Self>().info((self.clone(), *SOURCES)).cube_dim(CubeDim::new_1d(self.threads))
    }

    fn address_type(&self) -> StorageType {
        cubecl::prelude::AddressType::U64.unsigned_type()
    }
}

type Representation = <<CudaRuntime as Runtime>::Compiler as Compiler>::Representation;

impl CubeTask<CudaCompiler> for Program {
    fn compile(
        &self,
        compiler: &mut CudaCompiler,
        options: &<CudaCompiler as Compiler>::CompilationOptions,
        mode: ExecutionMode,
        address_type: StorageType,
    ) -> Result<CompiledKernel<CudaCompiler>, CompilationError> {
        // An empty kernel of CubeCL's, from which it takes how much shared memory ours is launched with.
        let empty = KernelDefinition {
            buffers: Vec::new(),
            tensor_maps: Vec::new(),
            scalars: Vec::new(),
            cube_dim: CubeDim::new_1d(self.threads),
            body: Scope::root(false),
            options: cubecl::prelude::KernelOptions::default(),
        };
        let mut representation: Representation = compiler.compile(empty, options, mode, address_type)?;
        if self.shared > 0 {
            representation.body.shared_memories.push(SharedMemory::Array {
                index: 0,
                item: Item::scalar(Elem::U8, true),
                length: self.shared,
                align: 128,
                offset: 0,
            });
        }
        Ok(CompiledKernel {
            entrypoint_name: self.entry.to_owned(),
            debug_name: Some(self.entry),
            source: self.text(),
            repr: Some(representation),
            cube_dim: CubeDim::new_1d(self.threads),
            debug_info: None,
        })
    }
}
