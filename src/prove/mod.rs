//! Is a ruleset what the policy says, and nothing else?
pub mod condition;
pub mod diagram;
pub mod judge;
pub mod packet;
pub mod program;
pub mod reach;
pub mod claim;
pub mod intent;
pub mod witness;
