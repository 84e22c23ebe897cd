//! Of which version a database's tables are, and who may bring them up to date.

use sqlx::migrate::Migrator;

use crate::error::StoreError;

/// Whether there is a list of what was done to the tables, on either database.
pub(super) const SQLITE_HAS_LIST: &str =
    "SELECT COUNT(*) > 0 FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations'";
/// The same on PostgreSQL.
pub(super) const POSTGRES_HAS_LIST: &str = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
/// The last thing that was done to them.
pub(super) const VERSION: &str = "SELECT MAX(version) FROM _sqlx_migrations WHERE success";

/// Refuses tables that are not this program's. Their owner alone brings older ones up to date: under an older gateway that
/// runs they would change beneath it. Where there are none yet, nobody runs.
pub(super) fn judge(found: Option<i64>, program: &Migrator, owner: Option<&str>) -> Result<(), StoreError> {
    let needed = program.iter().map(|migration| migration.version).max().unwrap_or_default();
    match found {
        None => Ok(()),
        Some(found) if found == needed => Ok(()),
        Some(found) if found < needed && owner.is_some() => Ok(()),
        Some(found) => Err(StoreError::OtherVersion { found, needed }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Database;
    use super::super::query::query;
    use super::*;
    use crate::store::{Durability, Location};

    #[tokio::test]
    async fn a_database_of_another_version_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = Location::File(folder.path().join("sipgw.db"));
        let open = async |owner| Database::open(&file, Durability::default(), owner).await;
        let database = open(None).await.expect("there are no tables yet, so nobody runs on them");
        let older = "DELETE FROM _sqlx_migrations WHERE version > 1";
        let newer =
            "INSERT INTO _sqlx_migrations SELECT 9000, '', '', success, checksum, 0 FROM _sqlx_migrations";
        for (statement, owners) in [(older, &[None][..]), (newer, &[None, Some("gateway")])] {
            let mut writer = database.begin().await.unwrap();
            query(statement).execute(&mut *writer).await.unwrap();
            writer.commit().await.unwrap();
            for owner in owners {
                let refused = open(*owner).await.unwrap_err();
                assert!(matches!(refused, StoreError::OtherVersion { .. }), "{refused}");
            }
        }
    }

    #[test]
    fn only_the_owner_brings_tables_up_to_date_and_nobody_takes_newer_ones() {
        let program = sqlx::migrate!("migrations/sqlite");
        let needed = program.iter().map(|migration| migration.version).max().unwrap();
        for owner in [None, Some("gateway")] {
            judge(None, &program, owner).unwrap();
            judge(Some(needed), &program, owner).unwrap();
            assert!(judge(Some(needed + 1), &program, owner).is_err());
        }
        judge(Some(needed - 1), &program, Some("gateway")).unwrap();
        let refused = judge(Some(needed - 1), &program, None).unwrap_err().to_string();
        assert!(refused.contains(&format!("version {}", needed - 1)), "{refused}");
    }
}
