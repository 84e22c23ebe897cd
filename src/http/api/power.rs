//! What a token's role may do: one table of roles and kinds of operations. The description of each operation names its kind,
//! as `security(("token" = ["change"]))`; where it names none, reading is `read` and all else is `change`.

use axum::http::Method;
use provisioning_store::tokens::{Role, RoleKind};
use serde_json::{Map, Value, json};

/// Kinds of operations, each with its word in the description.
macro_rules! kinds {
    ($($(#[$about:meta])+ $kind:ident = $word:literal,)+) => {
        /// What an operation does, as far as it matters who may do it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Kind { $($(#[$about])+ $kind,)+ }

        impl Kind {
            const ALL: &[Self] = &[$(Self::$kind,)+];

            /// Its word in the description.
            pub(super) fn word(self) -> &'static str {
                match self { $(Self::$kind => $word,)+ }
            }
        }
    };
}

kinds! {
    /// Looks at what is set up, and at what goes on.
    Read = "read",
    /// Looks at money: credit, prices, records of calls, reports, payments.
    Accounts = "accounts",
    /// Shows a password.
    Secrets = "secrets",
    /// Changes what is set up.
    Change = "change",
    /// Asks for a payment, or says when one is asked for.
    Pay = "pay",
    /// Says that money has come.
    Book = "book",
    /// Makes and ends tokens.
    Grant = "grant",
    /// Looks at what is the installation's.
    Inspect = "inspect",
    /// Changes what is the installation's.
    Operate = "operate",
}

/// Who may do what.
const TABLE: [(RoleKind, &[Kind]); 5] = [
    (RoleKind::Operator, Kind::ALL),
    (RoleKind::OperatorReadOnly, &[Kind::Read, Kind::Accounts, Kind::Inspect]),
    (
        RoleKind::Administrator,
        &[Kind::Read, Kind::Accounts, Kind::Secrets, Kind::Change, Kind::Pay, Kind::Grant],
    ),
    (RoleKind::AdministratorReadOnly, &[Kind::Read, Kind::Accounts]),
    (RoleKind::Billing, &[Kind::Accounts, Kind::Pay, Kind::Book]),
];
/// Kinds that are never allowed to a token limited to a company.
const OF_INSTALLATION: [Kind; 3] = [Kind::Book, Kind::Inspect, Kind::Operate];

/// Whether a role may do operations of a kind; upon whose things, `caller` decides.
pub(super) fn may(role: Role, kind: Kind) -> bool {
    allows(role.kind(), role.company().is_some(), kind)
}

fn allows(role: RoleKind, is_limited: bool, kind: Kind) -> bool {
    let row = TABLE.iter().find(|(of, _)| *of == role);
    row.is_some_and(|(_, kinds)| kinds.contains(&kind)) && (!is_limited || is_of_companies(kind))
}

/// Whether there are roles of companies that may do operations of a kind.
pub(super) fn is_of_companies(kind: Kind) -> bool {
    !OF_INSTALLATION.contains(&kind)
}

impl Kind {
    /// By its word.
    pub(super) fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.word() == word)
    }

    /// Where the description says nothing else.
    pub(super) fn usual(method: &Method) -> Self {
        if *method == Method::GET { Self::Read } else { Self::Change }
    }
}

/// The table as the description shows it: of each role, what it may do to the whole installation, and what within a company.
pub(super) fn described() -> Value {
    let words = |role: RoleKind, is_limited| -> Value {
        let kinds = Kind::ALL.iter().filter(|kind| allows(role, is_limited, **kind));
        kinds.map(|kind| kind.word()).collect()
    };
    let of = |role: RoleKind| {
        let mut rows = Map::new();
        if role.may_be_unlimited() {
            rows.insert("everywhere".to_owned(), words(role, false));
        }
        if role.may_be_limited() {
            rows.insert("in_a_company".to_owned(), words(role, true));
        }
        (role.word().to_owned(), Value::Object(rows))
    };
    json!(TABLE.iter().map(|(role, _)| of(*role)).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use provisioning_store::model::CompanyId;

    #[test]
    fn each_role_has_a_row_and_each_kind_a_word() {
        for role in RoleKind::ALL {
            assert_eq!(TABLE.iter().filter(|(of, _)| of == role).count(), 1, "{role}");
        }
        assert!(Kind::ALL.iter().all(|kind| Kind::of(kind.word()) == Some(*kind)));
    }

    #[test]
    fn who_reads_only_changes_nothing_and_no_company_touches_the_installation() {
        let company = CompanyId(1);
        for reader in [Role::OperatorReadOnly, Role::AdministratorReadOnly(company)] {
            for kind in [Kind::Secrets, Kind::Change, Kind::Pay, Kind::Book, Kind::Grant, Kind::Operate] {
                assert!(!may(reader, kind), "{reader:?} {kind:?}");
            }
        }
        for limited in
            [Role::Administrator(company), Role::AdministratorReadOnly(company), Role::Billing(Some(company))]
        {
            assert!(OF_INSTALLATION.iter().all(|kind| !may(limited, *kind)), "{limited:?}");
        }
        assert!(may(Role::Billing(None), Kind::Book) && !may(Role::Billing(None), Kind::Read));
        assert!(Kind::ALL.iter().all(|kind| may(Role::Operator, *kind)));
    }
}
