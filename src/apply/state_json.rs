//! A state as JSON: how it is kept, and how `status` tells it.

use super::state::{InForce, SealedBy, Trial};
use super::status::Report;
use crate::json::{
    FromJson, Json, JsonError, JsonMember, JsonMembers, JsonText, ToJson, json_object,
};

/// The state with its name, as it is kept and as `status` tells it.
impl ToJson for InForce {
    fn write_json(&self, json: &mut JsonText) {
        self.write_with(&[], json);
    }
}

impl InForce {
    /// Adds an object of the state, and of what else there is to tell.
    pub(super) fn write_with(&self, more: &[JsonMember<'_>], json: &mut JsonText) {
        let name = self.name();
        let mut members: Vec<JsonMember<'_>> = vec![("state", &name)];
        match self {
            InForce::Sealed { why, how, trial } => {
                members.extend([("why", why as &dyn ToJson), ("how", how), ("trial", trial)]);
            }
            InForce::NotForwarding {
                policy,
                why,
                instead,
                trial,
            } => members.extend([
                ("policy", policy as &dyn ToJson),
                ("why", why),
                ("instead", instead),
                ("trial", trial),
            ]),
            InForce::Applied { policy, missing } => {
                members.extend([("policy", policy as &dyn ToJson), ("missing", missing)]);
            }
            InForce::Pending {
                policy,
                missing,
                trial,
            } => members.extend([
                ("policy", policy as &dyn ToJson),
                ("missing", missing),
                ("trial", trial),
            ]),
            InForce::LastGood {
                policy,
                missing,
                why,
            } => members.extend([
                ("policy", policy as &dyn ToJson),
                ("missing", missing),
                ("why", why),
            ]),
            InForce::Open => {}
            InForce::Unsealed { why, trial } => {
                members.extend([("why", why as &dyn ToJson), ("trial", trial)]);
            }
            InForce::Unknown { why } => members.push(("why", why)),
        }
        members.extend(more);
        json.object(&members);
    }

    /// Reads what was kept.
    ///
    /// # Errors
    /// Returns an error if it is no state, or has more than a state has.
    pub(super) fn read(mut members: JsonMembers) -> Result<InForce, JsonError> {
        let name: String = members.needed("state")?;
        let trial = |members: &mut JsonMembers| {
            let trial: Option<JsonMembers> = members.given("trial")?;
            trial.map(Trial::read).transpose()
        };
        let state = match name.as_str() {
            "sealed" => InForce::Sealed {
                why: members.given("why")?,
                how: members.given("how")?.unwrap_or_default(),
                trial: trial(&mut members)?,
            },
            "not-forwarding" => InForce::NotForwarding {
                policy: members.needed("policy")?,
                why: members.needed("why")?,
                instead: members.given("instead")?,
                trial: trial(&mut members)?,
            },
            "applied" => InForce::Applied {
                policy: members.needed("policy")?,
                missing: members.given("missing")?.unwrap_or_default(),
            },
            "pending" => InForce::Pending {
                policy: members.needed("policy")?,
                missing: members.given("missing")?.unwrap_or_default(),
                trial: trial(&mut members)?.ok_or(JsonError::Value("trial"))?,
            },
            "last-good" => InForce::LastGood {
                policy: members.needed("policy")?,
                missing: members.given("missing")?.unwrap_or_default(),
                why: members.needed("why")?,
            },
            "open" => InForce::Open,
            "unsealed" => InForce::Unsealed {
                why: members.needed("why")?,
                trial: trial(&mut members)?,
            },
            "unknown" => InForce::Unknown {
                why: members.given("why")?,
            },
            _ => return Err(JsonError::Value("state")),
        };
        members.end()?;
        Ok(state)
    }
}

impl ToJson for SealedBy {
    fn write_json(&self, json: &mut JsonText) {
        json.string(match self {
            SealedBy::Tables => "tables",
            SealedBy::Links => "links",
        });
    }
}

impl FromJson for SealedBy {
    fn from_json(value: Json) -> Option<SealedBy> {
        match String::from_json(value)?.as_str() {
            "tables" => Some(SealedBy::Tables),
            "links" => Some(SealedBy::Links),
            _ => None,
        }
    }
}

json_object!(Trial {
    token,
    deadline,
    seconds
});

impl Trial {
    fn read(mut members: JsonMembers) -> Result<Trial, JsonError> {
        let trial = Trial {
            token: members.needed("token")?,
            deadline: members.needed("deadline")?,
            seconds: members.needed("seconds")?,
        };
        members.end()?;
        Ok(trial)
    }
}

impl ToJson for Report {
    fn write_json(&self, json: &mut JsonText) {
        let Report {
            in_force,
            since,
            seconds,
            overdue,
            seconds_left,
            holds,
            compared_with,
            drift,
            notes,
            recording,
            recordable: _,
            names,
            mail,
            mail_queue,
            accounting,
            file,
            presence,
            refused,
            local_time,
            needs,
            ways,
            newly_tried: _,
        } = self;
        let more: [JsonMember<'_>; 19] = [
            ("since", since),
            ("seconds", seconds),
            ("overdue", overdue),
            ("seconds_left", seconds_left),
            ("holds", holds),
            ("compared_with", compared_with),
            ("drift", drift),
            ("notes", notes),
            ("recording", recording),
            ("names", names),
            ("mail", mail),
            ("mail_queue", mail_queue),
            ("accounting", accounting),
            ("file", file),
            ("presence", presence),
            ("refused", refused),
            ("local_time", local_time),
            ("needs", needs),
            ("ways", ways),
        ];
        in_force.write_with(&more, json);
    }
}
