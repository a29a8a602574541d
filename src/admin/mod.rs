//! What operators and their tools see of a server: four-letter words, commands and metrics.
//!
//! Text only: no socket, no tree, no session table. Whoever runs the server brings the facts
//! (`four_letter::StatusSource`) and feeds the metrics.

pub mod commands;
pub mod four_letter;
pub mod java_text;
pub mod json;
pub mod metrics;
pub mod process;
pub mod prometheus;
pub mod runtime_metrics;
pub mod stats;
pub mod version;
