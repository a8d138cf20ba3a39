package sqldb

import (
	"container/list"
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
)

// maxCachedText bounds, in bytes of SQL text, the statements that one connection holds
// prepared. A compiled multi-row INSERT holds several times its text.
const maxCachedText = 512 << 10

// sqliteConn is what modernc.org/sqlite's connections can do.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// cachedConn holds statements prepared by their text. The driver compiles a statement on
// each use otherwise, which costs more than a point read does. pgx does the same by
// itself. database/sql never uses a connection from two goroutines at once.
type cachedConn struct {
	sqliteConn
	// detach hides the context from the driver, which would start a goroutine for each
	// statement to watch it.
	detach bool
	// path is the file.
	path string
	// idle holds the statements that nobody is running, the last used in front.
	idle   *list.List
	byText map[string]*list.Element
	bytes  int
}

type preparedStmt struct {
	driver.Stmt
	positional
	// key is the text as it was given.
	key string
}

func (s *preparedStmt) exec(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	args, err := s.arrange(args)
	if err != nil {
		return nil, err
	}
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args) //nolint:forcetypeassert // the driver is modernc.org/sqlite
}

func (s *preparedStmt) query(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	args, err := s.arrange(args)
	if err != nil {
		return nil, err
	}
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args) //nolint:forcetypeassert // the driver is modernc.org/sqlite
}

func newCachedConn(conn sqliteConn, path string, detach bool) *cachedConn {
	return &cachedConn{sqliteConn: conn, path: path, detach: detach, idle: list.New(), byText: map[string]*list.Element{}}
}

// BeginTx starts a transaction.
func (c *cachedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	ctx, err := c.context(ctx)
	if err != nil {
		return nil, err
	}
	return c.sqliteConn.BeginTx(ctx, opts)
}

// ExecContext runs a statement without rows.
func (c *cachedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	ctx, err := c.context(ctx)
	if err != nil {
		return nil, err
	}
	if !repeats(query) {
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	stmt, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	var result driver.Result
	if rows, ok := rowsIn(args); ok {
		result, err = c.execRows(ctx, stmt, rows)
	} else {
		result, err = stmt.exec(ctx, args)
	}
	return result, errors.Join(c.named(err), c.giveBack(stmt, err))
}

// QueryContext runs a statement with rows; closing them gives the statement back.
func (c *cachedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	ctx, err := c.context(ctx)
	if err != nil {
		return nil, err
	}
	if !repeats(query) {
		return c.sqliteConn.QueryContext(ctx, query, args)
	}
	stmt, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.query(ctx, args)
	if err != nil {
		return nil, errors.Join(c.named(err), c.giveBack(stmt, err))
	}
	return &cachedRows{Rows: rows, conn: c, stmt: stmt}, nil
}

// Close closes the connection with its statements.
func (c *cachedConn) Close() error {
	var err error
	for e := c.idle.Front(); e != nil; e = e.Next() {
		err = errors.Join(err, e.Value.(*preparedStmt).Close()) //nolint:forcetypeassert // the list holds nothing else
	}
	c.idle.Init()
	clear(c.byText)
	c.bytes = 0
	return errors.Join(err, c.sqliteConn.Close())
}

func (c *cachedConn) context(ctx context.Context) (context.Context, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.detach {
		return context.WithoutCancel(ctx), nil
	}
	return ctx, nil
}

// take lends a statement: while it runs it is not in the cache, so that the same text may
// run inside a loop over its own rows.
func (c *cachedConn) take(ctx context.Context, query string) (*preparedStmt, error) {
	if e, ok := c.byText[query]; ok {
		return c.drop(e), nil
	}
	p := toPositional(query)
	stmt, err := c.sqliteConn.PrepareContext(ctx, p.text)
	if err != nil {
		return nil, c.named(err)
	}
	return &preparedStmt{Stmt: stmt, positional: p, key: query}, nil
}

// damagedError is the driver's error where a file is damaged, with the file.
type damagedError struct {
	error

	path string
}

// Unwrap returns the driver's error.
func (e damagedError) Unwrap() error { return e.error }

// named adds the file to an error that is about its content.
func (c *cachedConn) named(err error) error {
	if code, ok := sqliteCode(err); ok && (code&0xff == codeCorrupt || code&0xff == codeNotADB) {
		return damagedError{err, c.path}
	}
	return err
}

// giveBack stores a statement that went well and closes any other: after a fault its
// inner state is not worth a guess.
func (c *cachedConn) giveBack(stmt *preparedStmt, fault error) error {
	if fault != nil {
		_ = stmt.Close()
		return nil //nolint:nilerr // the fault of the run is reported already, and Close repeats it
	}
	if _, twin := c.byText[stmt.key]; twin || len(stmt.key) > maxCachedText/4 {
		return stmt.Close()
	}
	c.byText[stmt.key] = c.idle.PushFront(stmt)
	c.bytes += len(stmt.key)
	var err error
	for c.bytes > maxCachedText {
		err = errors.Join(err, c.drop(c.idle.Back()).Close())
	}
	return err
}

func (c *cachedConn) drop(e *list.Element) *preparedStmt {
	stmt := c.idle.Remove(e).(*preparedStmt) //nolint:forcetypeassert // the list holds nothing else
	delete(c.byText, stmt.key)
	c.bytes -= len(stmt.key)
	return stmt
}

// repeats reports whether the statement is of a kind that runs more than once, with
// arguments: none of DDL and PRAGMA, of which some act while they are being compiled.
func repeats(query string) bool {
	query = strings.TrimLeft(query, " \t\r\n")
	for _, verb := range [...]string{"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"} {
		if len(query) > len(verb) && strings.EqualFold(query[:len(verb)], verb) {
			return true
		}
	}
	return false
}

type cachedRows struct {
	driver.Rows
	conn *cachedConn
	stmt *preparedStmt
}

// Next reads a row.
func (r *cachedRows) Next(dest []driver.Value) error {
	err := r.Rows.Next(dest)
	if err != nil && err != io.EOF { //nolint:errorlint // the driver returns it as it is, and it ends every reading
		return r.conn.named(err)
	}
	return err
}

// Close ends the reading.
func (r *cachedRows) Close() error {
	err := r.Rows.Close()
	if r.stmt == nil {
		return err
	}
	stmt := r.stmt
	r.stmt = nil
	return errors.Join(err, r.conn.giveBack(stmt, err))
}
