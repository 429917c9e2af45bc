//! From pictures to what is inside: the product's modules, a batch at a time.

use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
use orfeas_hunyuan3d::ModelError;
use orfeas_hunyuan3d::conditioner::Conditioner;
use orfeas_hunyuan3d::config::ModelConfig;
use orfeas_hunyuan3d::dit::Denoiser;
use orfeas_hunyuan3d::kernels::Kernels;
use orfeas_hunyuan3d::vae::ShapeVae;
use orfeas_hunyuan3d::weights::Weights;

/// How steeply occupancy goes from 0 to 1 at the surface: `sigmoid(-STEEPNESS · distance)`.
pub const STEEPNESS: f32 = 50.0;

/// The whole network.
#[derive(Debug)]
pub struct Network<B: Backend> {
    conditioner: Conditioner<B>,
    denoiser: Denoiser<B>,
    vae: ShapeVae<B>,
    noise: Tensor<B, 3>,
    guided: bool,
}

impl<B: Kernels> Network<B> {
    /// Takes the parameters; none may be left over.
    ///
    /// # Errors
    /// As [`Weights::param`] and [`Weights::finish`].
    pub fn load(mut weights: Weights<'_, B>, config: &ModelConfig) -> Result<Self, ModelError> {
        let conditioner = weights.within("conditioner", |weights| Conditioner::load(weights, &config.conditioner))?;
        let denoiser = weights.within("model", |weights| Denoiser::load(weights, &config.denoiser))?;
        let vae = weights.within("vae", |weights| ShapeVae::load(weights, &config.vae))?;
        let (tokens, channels) = (config.vae.num_latents, config.vae.embed_dim);
        let noise = orfeas_hunyuan3d::noise::normal(config.own.noise_seed.unwrap_or(0), tokens * channels);
        let noise = weights.constant(noise, [1, tokens, channels]);
        weights.finish()?;
        Ok(Self { conditioner, denoiser, vae, noise, guided: config.denoiser.guidance_embed })
    }

    /// The field's logits at points, positive inside, by one step from the noise.
    ///
    /// # Shapes
    /// pictures `[batch, 3, size, size]`, normalised, in the parameters' precision; points `[batch, points, 3]` in float32
    /// → `[batch, points, 1]`.
    pub fn logits(&self, pictures: Tensor<B, 4>, points: Tensor<B, 3>, guidance: f64) -> Tensor<B, 3> {
        let (batch, device, dtype) = (pictures.dims()[0], pictures.device(), pictures.dtype());
        let condition = self.denoiser.project_condition(self.conditioner.encode(pictures));
        let noise = self.noise.clone().repeat_dim(0, batch);
        let guidance = self.guided.then_some(guidance);
        let modulations = self.denoiser.modulations(&[0.0], guidance, &device, dtype);
        // The schedule of one step goes from 0 to 1 at once.
        let latents = noise.clone() + self.denoiser.velocity(noise, condition, &modulations, 0);
        let keys = self.vae.geometry.keys(self.vae.tokens(latents));
        self.vae.geometry.logits(points, &keys)
    }
}

/// The mean binary cross entropy of logits and occupancy, `[1]` in float32.
///
/// # Shapes
/// both `[batch, points, 1]`.
pub fn loss<B: Backend>(logits: Tensor<B, 3>, occupancy: Tensor<B, 3>) -> Tensor<B, 1> {
    let logits = if logits.dtype() == DType::F32 { logits } else { logits.cast(DType::F32) };
    // max(x, 0) - x·y + ln(1 + exp(-|x|)), which overflows nowhere.
    let tail = (logits.clone().abs().neg().exp() + 1.0).log();
    (relu(logits.clone()) - logits * occupancy + tail).mean()
}

/// Host values as a tensor.
pub fn tensor<B: Backend, const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &B::Device,
    dtype: DType,
) -> Tensor<B, D> {
    Tensor::from_data(TensorData::new(values, shape).convert_dtype(dtype), (device, dtype))
}
