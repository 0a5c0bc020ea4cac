//! The numbers of nf_tables' netlink messages that more than one file asks with
//! (linux/netfilter/nf_tables.h).

/// NFNL_SUBSYS_NFTABLES
pub(super) const NFTABLES: u8 = 10;
/// NFT_MSG_GETTABLE
pub(super) const GET_TABLE: u8 = 1;
/// NFT_MSG_GETCHAIN
pub(super) const GET_CHAIN: u8 = 4;
/// NFT_MSG_GETRULE
pub(super) const GET_RULE: u8 = 7;
/// NFTA_CHAIN_TABLE
pub(super) const CHAIN_TABLE: u16 = 1;
/// NFTA_CHAIN_HOOK
pub(super) const CHAIN_HOOK: u16 = 4;
/// NFTA_RULE_TABLE
pub(super) const RULE_TABLE: u16 = 1;
