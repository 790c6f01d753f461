//! The guide: chapters for people who use the program or the library. Documentation alone, no code.

#[doc = include_str!("settings.md")]
pub mod settings {}

#[doc = include_str!("methods.md")]
pub mod methods {}

#[doc = include_str!("answers.md")]
pub mod answers {}

#[doc = include_str!("localisation.md")]
pub mod localisation {}

#[doc = include_str!("priors-and-observations.md")]
pub mod priors_and_observations {}

#[doc = include_str!("history.md")]
pub mod history {}

#[doc = include_str!("sweeps.md")]
pub mod sweeps {}

#[doc = include_str!("contributing.md")]
pub mod contributing {}
