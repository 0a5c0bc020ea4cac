//! x
pub mod diagram; pub mod packet;
