//! The rules that select a routing table: reads them, and makes those of camfw.

use std::io;
use std::net::IpAddr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::RouteHeader;
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};
use nix::libc;

use super::connection::NetlinkConnection;
use super::{NetlinkError, OUR_ROUTES, unmanaged};
use crate::net::{Held, MAIN_TABLE, MarkRule, OtherRule, SourceRule};

/// The priority of the source rules for the main table. Those for other tables come next.
const BY_SOURCE: u32 = 20_000;

/// All rules that the kernel did not create.
#[derive(Default)]
pub struct ReadRules {
    /// Those that match only a mark.
    pub marks: Vec<Held<MarkRule>>,
    /// Those of camfw by source.
    pub sources: Vec<Held<SourceRule>>,
    /// The rest.
    pub others: Vec<OtherRule>,
}

/// Reads all rules.
pub fn all(connection: &mut NetlinkConnection) -> io::Result<ReadRules> {
    // A kernel without policy routing for a family refuses to dump its rules.
    let messages = rule_messages(connection, AddressFamily::Unspec)?;
    let mut rules = ReadRules::default();
    for message in messages.iter().flatten() {
        if let Some(mark) = rule(message) {
            rules.marks.push(mark);
        } else if let Some(value) = source_rule_of(message) {
            rules.sources.push(Held { value, ours: true });
        } else {
            rules.others.extend(unmanaged::rule(message));
        }
    }
    Ok(rules)
}

/// Whether the kernel supports IPv4 rules (CONFIG_IP_MULTIPLE_TABLES).
pub fn has_rules(connection: &mut NetlinkConnection) -> Result<bool, NetlinkError> {
    let messages = rule_messages(connection, AddressFamily::Inet);
    let messages = messages.map_err(|error| NetlinkError::Read {
        what: "rules",
        error,
    })?;
    Ok(messages.is_some())
}

/// None if the kernel has no rules at all.
fn rule_messages(
    connection: &mut NetlinkConnection,
    family: AddressFamily,
) -> io::Result<Option<Vec<RuleMessage>>> {
    let mut request = RuleMessage::default();
    request.header.family = family;
    match connection.dump(libc::RTM_GETRULE, &request) {
        Ok(messages) => Ok(Some(messages)),
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A rule that matches a mark and nothing else, like those camfw creates.
fn rule(message: &RuleMessage) -> Option<Held<MarkRule>> {
    let header = &message.header;
    let ipv6 = match header.family {
        AddressFamily::Inet => false,
        AddressFamily::Inet6 => true,
        _ => return None,
    };
    if header.action != RuleAction::ToTable
        || header.flags.contains(RuleFlags::Invert)
        || header.tos != 0
    {
        return None;
    }
    let (mut mark, mut table, mut ours) = (None, u32::from(header.table), false);
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::FwMark(value) => mark = Some(*value),
            RuleAttribute::FwMask(u32::MAX) => {}
            RuleAttribute::Table(value) => table = *value,
            RuleAttribute::Protocol(protocol) => ours = *protocol == OUR_ROUTES,
            attribute if unmanaged::narrows(attribute) => return None,
            _ => {}
        }
    }
    let value = MarkRule {
        mark: mark?,
        table,
        ipv6,
    };
    Some(Held { value, ours })
}

/// A source rule exactly as camfw creates it.
fn source_rule_of(message: &RuleMessage) -> Option<SourceRule> {
    let (mut source, mut table) = (None, u32::from(message.header.table));
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Source(IpAddr::V4(own)) => source = Some(*own),
            RuleAttribute::Table(number) => table = *number,
            _ => {}
        }
    }
    let source = source?;
    let rule = SourceRule { source, table };
    let ours = source_rule(&rule);
    let header = &message.header;
    let (flags, tos) = (header.flags, header.tos);
    let is_same = header.action == ours.header.action
        && header.src_len == ours.header.src_len
        && header.dst_len == 0
        && (flags, tos) == (ours.header.flags, ours.header.tos);
    let mut narrowing = message
        .attributes
        .iter()
        .filter(|it| unmanaged::narrows(it));
    let has_all = ours
        .attributes
        .iter()
        .all(|it| message.attributes.contains(it));
    (is_same && has_all && narrowing.all(|it| ours.attributes.contains(it))).then_some(rule)
}

/// What a rule for marked packets is.
pub fn mark_rule(rule: &MarkRule) -> RuleMessage {
    let mut message = to_table();
    message.header.family = match rule.ipv6 {
        false => AddressFamily::Inet,
        true => AddressFamily::Inet6,
    };
    message.attributes.extend([
        RuleAttribute::FwMark(rule.mark),
        RuleAttribute::Table(rule.table),
        RuleAttribute::Protocol(OUR_ROUTES),
    ]);
    message
}

/// What a rule by source is.
pub fn source_rule(rule: &SourceRule) -> RuleMessage {
    let mut message = to_table();
    message.header.family = AddressFamily::Inet;
    message.header.src_len = 32;
    let is_main = rule.table == MAIN_TABLE;
    message.attributes.extend([
        RuleAttribute::Source(rule.source.into()),
        RuleAttribute::Priority(BY_SOURCE + u32::from(!is_main)),
        RuleAttribute::Table(rule.table),
        RuleAttribute::Protocol(OUR_ROUTES),
    ]);
    if is_main {
        message.attributes.push(RuleAttribute::SuppressPrefixLen(0));
    }
    message
}

/// A rule that leads to the table of its attribute.
fn to_table() -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.action = RuleAction::ToTable;
    message
}
