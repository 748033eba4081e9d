//! Backups: every row out at one moment, and every row in at once.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _, Transaction};

use super::{
    super::{COLUMNS, LOCKS_TABLES, PATIENCE, SNAPSHOT},
    Database, Db, restore,
    rows::Row,
    schema,
};
use crate::{
    domain::{audit::Event, restore::Restoration},
    store::{
        Backups, StoreError,
        archive::{
            ArchiveError, Cell, Continuation, Counts, FORMAT, Header, Made, Reader, Result, Table, Writer,
        },
        hold::Held,
    },
};

/// Every table, in an order in which no row refers to a later one. Their columns are asked of the database.
pub(super) const TABLES: [&str; 25] = [
    "users",
    "identities",
    "setup_links",
    "account_links",
    "sessions",
    "logouts",
    "second_factors",
    "recovery_codes",
    "passkeys",
    "clients",
    "resources",
    "organizations",
    "nodes",
    "entitlements",
    "grants",
    "authorization_codes",
    "refresh_tokens",
    "api_keys",
    "signing_keys",
    "heads",
    "revocations",
    "facts",
    "audit_events",
    "audit_checkpoints",
    "admin_keys",
];

/// The table that is not empty in an empty database: a migration fills it.
const COUNTERS: &str = "heads";

/// Most values of one statement; both databases take many more.
const VALUES: usize = 1000;

type Connection = <Db as sqlx::Database>::Connection;

/// A column of a table.
struct Column {
    name: String,
    kind: Kind,
}

/// What both databases have in common.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    /// 64 bits.
    Bigint,
    /// Fewer, on one of them.
    Integer,
}

#[async_trait]
impl Backups for Database {
    async fn dump(&self, made: &Made, alone: Option<Held>, out: Writer<'_>) -> Result<(Header, Counts)> {
        let mut connection = connect(&self.reader).await?;
        let done = dump(made, alone, out, &mut connection).await;
        close(connection, done).await
    }

    async fn check_empty(&self) -> Result<()> {
        let mut connection = connect(&self.writer).await?;
        let done = check_empty(&mut connection).await;
        close(connection, done).await
    }

    async fn fill(
        &self,
        from: &mut Reader<'_>,
        trail: Option<Continuation<'_>>,
        verdict: &Restoration,
        epoch: &str,
        event: &Event,
    ) -> Result<()> {
        let mut connection = connect(&self.writer).await?;
        let done = fill(from, trail, &Ending { verdict, epoch, event }, &mut connection).await;
        close(connection, done).await
    }
}

/// What is done once the rows are there.
struct Ending<'a> {
    verdict: &'a Restoration,
    epoch: &'a str,
    event: &'a Event,
}

async fn dump(
    made: &Made,
    alone: Option<Held>,
    mut out: Writer<'_>,
    connection: &mut Connection,
) -> Result<(Header, Counts)> {
    let mut tx = connection.begin_with(SNAPSHOT).await.map_err(StoreError::from)?;
    let schema = version(&mut tx).await?;
    // From here on it is this one moment that is read: on SQLite the first look makes it.
    let stopped = alone.is_some();
    drop(alone);
    let known = schema::newest();
    if schema != known {
        return Err(ArchiveError::Schema { found: schema, known });
    }
    let mut all = Vec::new();
    for table in TABLES {
        all.push((table, columns(table, &mut tx).await?));
    }
    let header = Header {
        format: FORMAT,
        version: made.version.to_owned(),
        schema,
        created_at: made.at,
        issuer: made.issuer.clone(),
        stopped,
        epoch: epoch(&mut tx).await?,
        heads: heads(&mut tx).await?,
        tables: all.iter().map(|(name, columns)| described(name, columns)).collect(),
    };
    out.begin(&header)?;
    for (table, columns) in &all {
        copy_out(table, columns, &mut out, &mut tx).await?;
    }
    let counts = out.finish()?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok((header, counts))
}

async fn check_empty(connection: &mut Connection) -> Result<()> {
    let mut tx = connection.begin().await.map_err(StoreError::from)?;
    nothing_there(&mut tx).await
}

async fn fill(
    from: &mut Reader<'_>,
    trail: Option<Continuation<'_>>,
    ending: &Ending<'_>,
    connection: &mut Connection,
) -> Result<()> {
    let mut tx = connection.begin_with(super::BEGIN).await.map_err(StoreError::from)?;
    if LOCKS_TABLES {
        let lock = format!("lock table {} in exclusive mode", TABLES.join(", "));
        tx.execute(safe(lock)).await.map_err(StoreError::from)?;
    }
    nothing_there(&mut tx).await?;
    copy_in(from, &mut tx).await?;
    for (table, expected) in from.counts() {
        let found = count(table, &mut tx).await?;
        if found != *expected {
            return Err(ArchiveError::Count { table: table.clone(), found, expected: *expected });
        }
    }
    if let Some(trail) = trail {
        restore::continue_trail(trail, &mut tx).await?;
    }
    restore::apply(ending.verdict, ending.epoch, ending.event, &mut tx).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Closes a connection whatever was done with it, so that nothing of it outlives the answer.
async fn close<T>(connection: Connection, done: Result<T>) -> Result<T> {
    match (done, connection.close().await) {
        (Ok(_), Err(error)) => Err(StoreError::from(error).into()),
        (done, _) => done,
    }
}

/// A connection of its own, which may take its time.
async fn connect(pool: &sqlx::Pool<Db>) -> Result<Connection> {
    let mut connection = Connection::connect_with(&pool.connect_options()).await.map_err(StoreError::from)?;
    if let Some(patience) = PATIENCE {
        connection.execute(patience).await.map_err(StoreError::from)?;
    }
    Ok(connection)
}

/// The only place where a statement is put together: of the names in [`TABLES`], and of column names that the database's own
/// catalogue gave and that hold nothing but letters and underscores.
fn safe(sql: String) -> AssertSqlSafe<String> {
    AssertSqlSafe(sql)
}

/// The version of the schema; 0 when there is none yet.
async fn version(tx: &mut Transaction<'_, Db>) -> Result<i64> {
    if catalogue("_sqlx_migrations", tx).await?.is_empty() {
        return Ok(0);
    }
    let sql = "select max(version) from _sqlx_migrations";
    let version: Option<i64> =
        sqlx::query_scalar(sql).fetch_one(&mut **tx).await.map_err(StoreError::from)?;
    Ok(version.unwrap_or_default())
}

async fn epoch(tx: &mut Transaction<'_, Db>) -> Result<Option<String>> {
    let sql = "select value from facts where name = 'feed_epoch'";
    Ok(sqlx::query_scalar(sql).fetch_optional(&mut **tx).await.map_err(StoreError::from)?)
}

async fn heads(tx: &mut Transaction<'_, Db>) -> Result<BTreeMap<String, i64>> {
    let sql = "select name, sequence from heads";
    let rows: Vec<(String, i64)> =
        sqlx::query_as(sql).fetch_all(&mut **tx).await.map_err(StoreError::from)?;
    Ok(rows.into_iter().collect())
}

/// The columns of a table and their types; none when there is no such table.
async fn catalogue(table: &str, tx: &mut Transaction<'_, Db>) -> Result<Vec<(String, String)>> {
    let found = sqlx::query_as(COLUMNS).bind(table).fetch_all(&mut **tx).await;
    Ok(found.map_err(StoreError::from)?)
}

async fn columns(table: &str, tx: &mut Transaction<'_, Db>) -> Result<Vec<Column>> {
    let column = |(name, kind): (String, String)| {
        let odd = || ArchiveError::Odd { table: table.to_owned(), column: name.clone() };
        let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let kind = match kind.as_str() {
            "text" => Kind::Text,
            "bigint" => Kind::Bigint,
            "integer" => Kind::Integer,
            _ => return Err(odd()),
        };
        if plain { Ok(Column { name, kind }) } else { Err(odd()) }
    };
    catalogue(table, tx).await?.into_iter().map(column).collect()
}

fn described(table: &str, columns: &[Column]) -> Table {
    Table { name: table.to_owned(), columns: columns.iter().map(|column| column.name.clone()).collect() }
}

async fn copy_out(
    table: &'static str,
    columns: &[Column],
    out: &mut Writer<'_>,
    tx: &mut Transaction<'_, Db>,
) -> Result<()> {
    let select = columns.iter().map(|column| match column.kind {
        Kind::Text | Kind::Bigint => column.name.clone(),
        Kind::Integer => format!("cast({} as bigint)", column.name),
    });
    let select = select.collect::<Vec<_>>().join(", ");
    let mut rows = sqlx::query(safe(format!("select {select} from {table}"))).fetch(&mut **tx);
    while let Some(row) = rows.try_next().await.map_err(StoreError::from)? {
        out.row(table, &cells(table, columns, &row)?)?;
    }
    Ok(())
}

fn cells(table: &str, columns: &[Column], row: &Row) -> Result<Vec<Cell>> {
    let cell = |(place, column): (usize, &Column)| {
        let cell = match column.kind {
            Kind::Text => row.try_get::<Option<String>, _>(place).map(|text| text.map(Cell::Text)),
            Kind::Bigint | Kind::Integer => {
                row.try_get::<Option<i64>, _>(place).map(|number| number.map(Cell::Integer))
            }
        };
        let odd = |_| ArchiveError::Odd { table: table.to_owned(), column: column.name.clone() };
        Ok(cell.map_err(odd)?.unwrap_or(Cell::Null))
    };
    columns.iter().enumerate().map(cell).collect()
}

async fn nothing_there(tx: &mut Transaction<'_, Db>) -> Result<()> {
    for table in TABLES {
        let counted = if table == COUNTERS { " where sequence > 0" } else { "" };
        let sql = safe(format!("select 1 from {table}{counted} limit 1"));
        if sqlx::query(sql).fetch_optional(&mut **tx).await.map_err(StoreError::from)?.is_some() {
            return Err(ArchiveError::NotEmpty(table));
        }
    }
    Ok(())
}

async fn count(table: &str, tx: &mut Transaction<'_, Db>) -> Result<u64> {
    let Some(table) = TABLES.into_iter().find(|known| *known == table) else {
        return Err(ArchiveError::Unknown(format!("the table {table}")));
    };
    let sql = safe(format!("select count(*) from {table}"));
    let found: i64 = sqlx::query_scalar(sql).fetch_one(&mut **tx).await.map_err(StoreError::from)?;
    Ok(u64::try_from(found).unwrap_or_default())
}

/// The rows of one table that are about to be stored together.
struct Batch {
    table: &'static str,
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Batch {
    /// A batch for a table of the backup: columns of its names, in its order.
    async fn of(table: &Table, tx: &mut Transaction<'_, Db>) -> Result<Self> {
        let Some(name) = TABLES.into_iter().find(|known| *known == table.name) else {
            return Err(ArchiveError::Unknown(format!("the table {}", table.name)));
        };
        let mut there: BTreeMap<_, _> =
            columns(name, tx).await?.into_iter().map(|column| (column.name.clone(), column)).collect();
        let mut columns = Vec::new();
        for column in &table.columns {
            let unknown = || ArchiveError::Unknown(format!("the column {column} of the table {name}"));
            columns.push(there.remove(column).ok_or_else(unknown)?);
        }
        Ok(Self { table: name, columns, rows: Vec::new() })
    }

    fn is_full(&self) -> bool {
        (self.rows.len() + 1) * self.columns.len().max(1) > VALUES
    }

    async fn store(&mut self, tx: &mut Transaction<'_, Db>) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let width = self.columns.len();
        let names = self.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
        let row = |row: usize| {
            let places = (1..=width).map(|column| format!("${}", row * width + column));
            format!("({})", places.collect::<Vec<_>>().join(", "))
        };
        let rows = (0..self.rows.len()).map(row).collect::<Vec<_>>().join(", ");
        let counted = if self.table == COUNTERS {
            " on conflict (name) do update set sequence = excluded.sequence"
        } else {
            ""
        };
        let sql = format!("insert into {} ({names}) values {rows}{counted}", self.table);
        // A full batch has the same text every time.
        let mut query = sqlx::query(safe(sql)).persistent(self.is_full());
        for cells in &self.rows {
            for (column, cell) in self.columns.iter().zip(cells) {
                query = match (column.kind, cell) {
                    (Kind::Text, Cell::Text(text)) => query.bind(text.as_str()),
                    (Kind::Text, Cell::Null) => query.bind(None::<&str>),
                    (Kind::Bigint | Kind::Integer, Cell::Integer(number)) => query.bind(*number),
                    (Kind::Bigint | Kind::Integer, Cell::Null) => query.bind(None::<i64>),
                    (Kind::Text, Cell::Integer(_)) | (_, Cell::Text(_)) => {
                        let (table, column) = (self.table.to_owned(), column.name.clone());
                        return Err(ArchiveError::Odd { table, column });
                    }
                };
            }
        }
        query.execute(&mut **tx).await.map_err(|error| match error {
            sqlx::Error::Database(_) => ArchiveError::Misfit { table: self.table.to_owned(), source: error },
            other => StoreError::from(other).into(),
        })?;
        self.rows.clear();
        Ok(())
    }
}

async fn copy_in(from: &mut Reader<'_>, tx: &mut Transaction<'_, Db>) -> Result<()> {
    let tables = from.header().tables.clone();
    let mut batches = Vec::new();
    for table in &tables {
        batches.push(Batch::of(table, tx).await?);
    }
    let mut at = 0;
    while let Some(row) = from.next_row()? {
        if row.table != at || batches[at].is_full() {
            batches[at].store(tx).await?;
        }
        at = row.table;
        batches[at].rows.push(row.cells);
    }
    match batches.get_mut(at) {
        Some(last) => last.store(tx).await,
        None => Ok(()),
    }
}
