//! Learning: pictures to occupancy, end to end, in one step, with the modules that the product runs.
//!
//! ```text
//! shards ─batches─▶ Batch ─Network (of Parameters)─▶ loss ─gradients─▶ State (AdamW, mean of weights) ─export─▶ checkpoint
//! ```
//!
//! Everything that a step does follows from its number and the plan: what is interrupted goes on bit for bit.

pub mod batches;
pub mod network;
pub mod parameters;
pub mod plan;
pub mod run;
pub mod state;

#[cfg(test)]
mod tests;
