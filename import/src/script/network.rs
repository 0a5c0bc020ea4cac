//! The commands of a script that set addresses and routes.

use ipnet::Ipv4Net;

use super::commands::{ScriptedAddress, ScriptedBox, ScriptedRoute};
use super::shell::ScriptCommand;
use super::written;

impl ScriptedBox {
    pub fn ip(&mut self, command: &ScriptCommand, words: &[&str]) -> Result<(), String> {
        match words {
            [
                "a" | "ad" | "add" | "addr" | "address",
                "add" | "replace",
                address,
                rest @ ..,
            ] => {
                let at = rest.iter().position(|word| *word == "dev");
                let interface = at
                    .and_then(|at| rest.get(at + 1))
                    .ok_or("ip address add takes dev INTERFACE")?;
                self.address(interface, address)
            }
            ["a" | "addr" | "address", "flush" | "show", ..] | ["l" | "link", "show", ..] => Ok(()),
            ["l" | "link", "set", .., "up"] => Ok(()),
            ["r" | "ro" | "route", "add" | "replace", rest @ ..] => self.ip_route(command, rest),
            ["r" | "ro" | "route", "flush" | "show" | "list", ..] => Ok(()),
            _ => Err(format!(
                "ip {} is not known here; addresses, routes and link set up are",
                words.join(" ")
            )),
        }
    }

    fn address(&mut self, interface: &str, text: &str) -> Result<(), String> {
        let address = written::network(text)
            .ok_or_else(|| format!("{text:?} is no address with the length of its network"))?;
        self.addresses
            .push((interface.to_owned(), ScriptedAddress::Static(address)));
        Ok(())
    }

    fn ip_route(&mut self, command: &ScriptCommand, words: &[&str]) -> Result<(), String> {
        let [to, rest @ ..] = words else {
            return Err("ip route add takes a network".to_owned());
        };
        let (mut via, mut interface, mut route_metric) = (None, None, None);
        let mut pairs = rest.chunks(2);
        for pair in &mut pairs {
            match pair {
                ["via", router] => {
                    via = Some(
                        router
                            .parse()
                            .map_err(|_| format!("{router:?} is no router's address"))?,
                    )
                }
                ["dev", name] => interface = Some((*name).to_owned()),
                ["metric", number] => route_metric = Some(metric(number)?),
                ["proto" | "scope" | "src", _] => {}
                _ => {
                    self.leave_out(
                        command,
                        "a route with more than via and dev; see [[routes]]",
                    );
                    return Ok(());
                }
            }
        }
        let to = match *to {
            "default" => Some(Ipv4Net::default()),
            other => written::network(other),
        };
        self.routes.push(ScriptedRoute {
            line: command.line,
            to: to.ok_or("it is no route to a network")?.trunc(),
            via,
            interface,
            metric: route_metric,
        });
        Ok(())
    }

    pub fn ifconfig(&mut self, interface: &str, words: &[&str]) -> Result<(), String> {
        match words {
            [] | ["up"] => Ok(()),
            [address, "netmask", mask]
            | [address, "netmask", mask, "up"]
            | [address, "up", "netmask", mask] => {
                self.address(interface, &format!("{address}/{mask}"))
            }
            [address] | [address, "up"] if address.contains('/') => {
                self.address(interface, address)
            }
            _ => Err("ifconfig is read as: ifconfig INTERFACE ADDRESS netmask MASK up".to_owned()),
        }
    }

    pub fn route_command(&mut self, command: &ScriptCommand, words: &[&str]) -> Result<(), String> {
        let router = |text: &str| {
            text.parse()
                .map_err(|_| format!("{text:?} is no router's address"))
        };
        let (to, via, rest) = match words {
            ["add", "default", "gw", via, rest @ ..] => (Ipv4Net::default(), Some(router(via)?), rest),
            ["add", "-net", to, "netmask", mask, "gw", via, rest @ ..] => {
                let to = written::network(&format!("{to}/{mask}"));
                (to.ok_or("it is no route to a network")?, Some(router(via)?), rest)
            }
            ["add", "-net", to, "gw", via, rest @ ..] => {
                (written::network(to).ok_or("it is no route to a network")?, Some(router(via)?), rest)
            }
            _ => return Err("route is read as: route add default gw ROUTER, route add -net NETWORK netmask MASK gw ROUTER".to_owned()),
        };
        let (mut interface, mut route_metric) = (None, None);
        let mut rest = rest.iter();
        while let Some(word) = rest.next() {
            match *word {
                "metric" => route_metric = Some(metric(rest.next().unwrap_or(&""))?),
                "dev" => {}
                name => interface = Some(name.to_owned()),
            }
        }
        self.routes.push(ScriptedRoute {
            line: command.line,
            to: to.trunc(),
            via,
            interface,
            metric: route_metric,
        });
        Ok(())
    }
}

fn metric(text: &str) -> Result<u32, String> {
    let number = text.parse();
    number.map_err(|_| format!("{text:?} is no metric of a route; write a number"))
}
