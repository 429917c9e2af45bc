//! Our kernels' sources, as CubeCL compiles and keeps them.

use cubecl::cuda::{CudaCompiler, CudaRuntime};
use cubecl::prelude::{CompiledKernel, ExecutionMode, KernelDefinition, KernelId, KernelMetadata, Scope, StorageType};
use cubecl::{CompilationError, Compiler, CubeDim, CubeTask, Runtime};
use cubecl_cpp::shared::{Elem, Item, SharedMemory};

use crate::kernels::programs::{Program, SOURCES};

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
