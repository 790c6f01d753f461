//! What a finished run left behind: the account of its time, its environment, its answers and the page.

pub mod account;
pub mod assess;
pub mod calibrated;
pub mod environment;
pub mod finished;
pub mod page;
pub mod text_table;
pub mod uncertainty;
