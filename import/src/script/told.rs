//! What of a script's rules no line says, and why.

use super::commands::{LeftOut, ScriptedBox};
use super::flows::{ScriptedFlows, ends_open};
use super::rule::{FirstPacket, InterfaceCondition, RuleTarget, ScriptRule};
use super::spans::{PacketBox, Spans};

impl ScriptedFlows {
    /// Says of each rule of table filter what no line says.
    pub fn tell(&mut self, found: &ScriptedBox) {
        for ((table, name), chain) in &found.chains {
            for rule in &chain.rules {
                match table.as_str() {
                    "filter" => self.tell_filter(found, name, rule),
                    "nat" => {}
                    _ if rule.target == RuleTarget::ClampMss => {}
                    _ => self.leave_out(rule, "rules of this table have no line; what they may drop is let through by none"),
                }
            }
            let closed = chain
                .rules
                .iter()
                .any(|rule| rule.is_for_all() && rule.target == RuleTarget::Drop);
            let is_asked = table == "filter" && (name == "INPUT" || name == "FORWARD");
            if is_asked && ends_open(found, name) && !closed {
                self.left_out.insert(LeftOut {
                    line: chain.policy.map_or(0, |policy| policy.1),
                    text: format!("-P {name} ACCEPT"),
                    why: "it lets through what no rule drops; here a line says what is let through, so write lines for it".to_owned(),
                });
            }
        }
    }

    fn tell_filter(&mut self, found: &ScriptedBox, chain: &str, rule: &ScriptRule) {
        let is_loopback = |condition: &Option<InterfaceCondition>| {
            condition.as_ref().and_then(InterfaceCondition::one) == Some("lo")
        };
        let own = Spans::one(0x7f00_0000, 0x7fff_ffff);
        let is_own = own.covers(&rule.packets.sources) || own.covers(&rule.packets.destinations);
        if is_loopback(&rule.input) || is_loopback(&rule.output) || is_own {
            return;
        }
        let is_said = self.said.contains(&(rule.line, rule.text.clone()));
        let is_open = chain == "OUTPUT" && self.egress_open;
        match (&rule.target, &rule.unsure) {
            (RuleTarget::Accept, Some(why)) if rule.first == FirstPacket::Always && !is_open => {
                self.leave_out(rule, not_carried(why));
            }
            // What is part of a connection passes, also ICMP's errors and replies, which begin none.
            (RuleTarget::Accept, _) if rule.first == FirstPacket::Forwarded => {
                self.leave_out(rule, "what a forward rewrote passes by an allow line for its host and port, which is not made of it");
            }
            (RuleTarget::Accept, _) if rule.first == FirstPacket::Never || is_said || is_open => {}
            (RuleTarget::Accept, _) if begins_nothing(rule) => {}
            (RuleTarget::Accept, _) => {
                let dead = self
                    .left_out
                    .iter()
                    .any(|left| left.line == rule.line && left.text == rule.text);
                if !dead {
                    self.leave_out(rule, "no zone has who it is about, or the rules before it, also of table nat, leave nothing of it");
                }
            }
            (RuleTarget::Drop | RuleTarget::Return, Some(why))
                if rule.first != FirstPacket::Never =>
            {
                self.leave_out(
                    rule,
                    not_carried(why) + "; all that it may drop is let through by none",
                );
            }
            (RuleTarget::Log, _) => {
                let bare = rule.packets == PacketBox::all()
                    && rule.input.is_none()
                    && rule.output.is_none();
                let spoofed = rule.input.is_some() && rule.packets.sources != Spans::all();
                match (
                    bare && rule.first == FirstPacket::Always,
                    spoofed || rule.first == FirstPacket::Never,
                ) {
                    (true, _) => self.logs_dropped = true,
                    // camfw logs these by itself.
                    (_, true) => {}
                    _ => self.leave_out(
                        rule,
                        "camfw blocked tells what is refused; [log] has what goes into the log",
                    ),
                }
            }
            (RuleTarget::GoesOn(None), _) if rule.first == FirstPacket::Never => {}
            (RuleTarget::GoesOn(None), _) => {
                self.leave_out(rule, "it lets nothing through and drops nothing")
            }
            (RuleTarget::GoesOn(Some(name)), _) => {
                self.leave_out(rule, format!("camfw sets no {name}"))
            }
            (RuleTarget::Chain(name), _) if found.chain("filter", name).is_some() => {
                if let Some(why) = &rule.unsure {
                    let why = not_carried(why);
                    self.leave_out(
                        rule,
                        format!("{why}; all that {name} may drop is let through by none"),
                    );
                }
            }
            (RuleTarget::Chain(name) | RuleTarget::Unknown(name), _) => {
                self.leave_out(rule, format!("what becomes of packets by {name} is not known; a line lets none of them through"));
            }
            _ => {}
        }
    }
}

/// Why a condition is not in a line, and what says the like there.
fn not_carried(condition: &str) -> String {
    let like = match condition {
        "-m time" => "when = { from = \"08:00\", to = \"18:00\" }",
        "-m limit" | "-m hashlimit" => "limit = \"5/minute\", which is of each source",
        "-m connlimit" => "connections = 5, which is of each source",
        "-m recent" => "block-after = { attempts = 3, within = \"60s\" }",
        _ => return format!("a line cannot have {condition}"),
    };
    format!("{condition} is not carried over; a line can have {like}")
}

/// Whether a rule is about ICMP that begins no connection: errors, and what answers.
fn begins_nothing(rule: &ScriptRule) -> bool {
    let service = &rule.packets.service;
    let begins = [8, 13, 15, 17]
        .iter()
        .any(|kind| service.icmp.covers(&Spans::one(*kind, *kind)));
    service.tcp.is_empty() && service.udp.is_empty() && service.other.is_empty() && !begins
}
