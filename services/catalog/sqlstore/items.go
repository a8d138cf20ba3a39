package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/preceptor-dev/preceptor/internal/canonical"
	"github.com/preceptor-dev/preceptor/internal/page"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/catalog"
)

// items is a catalog.Items.
type items[C catalog.Content[C]] struct {
	db   *sqldb.DB
	kind catalog.Kind
}

// itemsTx is a catalog.ItemsTx.
type itemsTx[C catalog.Content[C]] struct {
	tx   sqldb.Tx
	kind catalog.Kind
}

var (
	_ catalog.Items[catalog.PathContent]   = items[catalog.PathContent]{}
	_ catalog.ItemsTx[catalog.PathContent] = itemsTx[catalog.PathContent]{}
)

const (
	itemColumns    = `i.id, i.state, i.draft, i.archives, i.edits, i.update_time, i.revision`
	versionColumns = `v.number, v.content, v.content_hash, v.change_class, v.retake, v.publish_time, v.effective_time, v.mandate_time`
	selectItem     = `SELECT ` + itemColumns + `, ` + versionColumns + ` FROM items i
LEFT JOIN versions v ON v.kind = i.kind AND v.id = i.id AND v.number = i.latest_version `
)

// Get implements catalog.Items.
func (s items[C]) Get(ctx context.Context, id string) (catalog.Item[C], error) {
	return get[C](ctx, s.db.Reader(), s.kind, id)
}

// Get implements catalog.ItemsTx.
func (s itemsTx[C]) Get(ctx context.Context, id string) (catalog.Item[C], error) {
	return get[C](ctx, s.tx, s.kind, id)
}

// get reads the row and its newest version in one statement, which sees one commit.
func get[C catalog.Content[C]](ctx context.Context, tx sqldb.Tx, kind catalog.Kind, id string) (catalog.Item[C], error) {
	item, err := scanItem[C](tx.QueryRowContext(ctx, selectItem+`WHERE i.kind = $1 AND i.id = $2`, string(kind), id))
	if errors.Is(err, sql.ErrNoRows) {
		return item, catalog.NotFound(kind, id)
	}
	return item, sqldb.Classify(err)
}

func scanItem[C catalog.Content[C]](row scanner) (item catalog.Item[C], err error) {
	var draft, content, hash, class, retake sql.NullString
	var archives string
	var updated int64
	var number, published, effective, mandated sql.NullInt64
	err = row.Scan(&item.ID, &item.State, &draft, &archives, &item.Edits, &updated, &item.Revision,
		&number, &content, &hash, &class, &retake, &published, &effective, &mandated)
	if err != nil {
		return item, err
	}
	item.UpdateTime = sqldb.Time(updated)
	if err := json.Unmarshal([]byte(archives), &item.Archives); err != nil {
		return item, err
	}
	if draft.Valid {
		item.Draft = new(C)
		if err := json.Unmarshal([]byte(draft.String), item.Draft); err != nil {
			return item, err
		}
	}
	if !number.Valid {
		return item, nil
	}
	item.Version = &catalog.Version[C]{
		Number: int(number.Int64), ContentHash: hash.String,
		ChangeClass: catalog.ChangeClass(class.String), Retake: catalog.Retake(retake.String),
		PublishTime: sqldb.NullTime(published), EffectiveTime: sqldb.NullTime(effective), MandateTime: sqldb.NullTime(mandated),
	}
	err = json.Unmarshal([]byte(content.String), &item.Version.Content)
	return item, err
}

func scanVersion[C catalog.Content[C]](row scanner) (v catalog.Version[C], err error) {
	var content string
	var published, effective int64
	var mandated sql.NullInt64
	err = row.Scan(&v.Number, &content, &v.ContentHash, &v.ChangeClass, &v.Retake, &published, &effective, &mandated)
	if err != nil {
		return v, err
	}
	v.PublishTime, v.EffectiveTime, v.MandateTime = sqldb.Time(published), sqldb.Time(effective), sqldb.NullTime(mandated)
	err = json.Unmarshal([]byte(content), &v.Content)
	return v, err
}

// Version implements catalog.Items.
func (s items[C]) Version(ctx context.Context, id string, number int) (catalog.Version[C], error) {
	v, err := scanVersion[C](s.db.Reader().QueryRowContext(ctx, `SELECT `+versionColumns+` FROM versions v
WHERE v.kind = $1 AND v.id = $2 AND v.number = $3`, string(s.kind), id, number))
	if errors.Is(err, sql.ErrNoRows) {
		return v, catalog.VersionNotFound(id, number)
	}
	return v, sqldb.Classify(err)
}

// Versions implements catalog.Items.
func (s items[C]) Versions(ctx context.Context, id string, below, limit int) ([]catalog.Version[C], error) {
	if below == 0 {
		below = math.MaxInt32
	}
	return query(ctx, s.db.Reader(), scanVersion[C], `SELECT `+versionColumns+` FROM versions v
WHERE v.kind = $1 AND v.id = $2 AND v.number < $3 ORDER BY v.number DESC LIMIT $4`, string(s.kind), id, below, limit)
}

// List implements catalog.Items.
func (s items[C]) List(ctx context.Context, filter catalog.Filter, order page.Order, after catalog.Place, limit int) ([]catalog.Item[C], error) {
	where, args := matching(filter, []any{string(s.kind), limit})
	direction, beyond := "", " > "
	if order.Desc {
		direction, beyond = " DESC", " < "
	}
	column, key := sortColumn(order.Field, after)
	by := "i.id" + direction
	if column != "" {
		by = column + direction + ", " + by
	}
	if after.ID != "" {
		args = append(args, after.ID)
		id := "$" + strconv.Itoa(len(args))
		if column == "" {
			where += " AND i.id" + beyond + id
		} else {
			args = append(args, key)
			where += " AND (" + column + ", i.id)" + beyond + "($" + strconv.Itoa(len(args)) + ", " + id + ")"
		}
	}
	return query(ctx, s.db.Reader(), scanItem[C], selectItem+`JOIN facets f ON f.kind = i.kind AND f.id = i.id
WHERE i.kind = $1`+where+` ORDER BY `+by+` LIMIT $2`, args...)
}

// sortColumn is what a list is ordered by before the id, and its value at a place; none for the id alone.
func sortColumn(field string, at catalog.Place) (column string, key any) {
	switch field {
	case catalog.OrderTitle:
		return "f.title_key", at.TitleKey
	case catalog.OrderPublishTime:
		return "COALESCE(v.publish_time, 0)", at.Published
	}
	return "", nil
}

// Count implements catalog.Items.
func (s items[C]) Count(ctx context.Context, filter catalog.Filter) (n int, err error) {
	where, args := matching(filter, []any{string(s.kind)})
	err = s.db.Reader().QueryRowContext(ctx, `SELECT count(*) FROM items i JOIN facets f ON f.kind = i.kind AND f.id = i.id
WHERE i.kind = $1`+where, args...).Scan(&n)
	return n, sqldb.Classify(err)
}

// matching continues a WHERE on items i and facets f.
func matching(filter catalog.Filter, args []any) (string, []any) {
	var where strings.Builder
	and := func(condition string, arg any) {
		args = append(args, arg)
		where.WriteString(" AND " + strings.ReplaceAll(condition, "?", "$"+strconv.Itoa(len(args))))
	}
	if filter.State == catalog.StateDraft {
		where.WriteString(" AND f.draft = 1")
	} else {
		where.WriteString(" AND f.draft = 0")
		if filter.State != "" {
			and("i.state = ?", string(filter.State))
		}
	}
	if filter.Topic != "" {
		and("f.topic = ?", filter.Topic)
	}
	if filter.Level != "" {
		and("f.level = ?", filter.Level)
	}
	if filter.Role != "" {
		and(`f.roles LIKE ? ESCAPE '\'`, containing("\n"+catalog.Fold(filter.Role)+"\n"))
	}
	if len(filter.IDs) > 0 {
		marks := make([]string, len(filter.IDs))
		for i, id := range filter.IDs {
			args = append(args, id)
			marks[i] = "$" + strconv.Itoa(len(args))
		}
		where.WriteString(" AND i.id IN (" + strings.Join(marks, ", ") + ")")
	}
	for _, word := range filter.Words {
		and(`f.search_text LIKE ? ESCAPE '\'`, containing(catalog.Fold(word)))
	}
	return where.String(), args
}

func containing(text string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%"
}

// Put implements catalog.ItemsTx.
func (s itemsTx[C]) Put(ctx context.Context, item catalog.Item[C]) error {
	archives, err := json.Marshal(item.Archives)
	if err != nil {
		return err
	}
	var draft sql.NullString
	if item.Draft != nil {
		text, err := canonical.JSON(item.Draft)
		if err != nil {
			return err
		}
		draft = sql.NullString{String: string(text), Valid: true}
	}
	_, err = s.tx.ExecContext(ctx, `INSERT INTO items (kind, id, state, latest_version, draft, archives, edits, update_time, revision)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (kind, id) DO UPDATE SET state = excluded.state, latest_version = excluded.latest_version, draft = excluded.draft,
archives = excluded.archives, edits = excluded.edits, update_time = excluded.update_time, revision = excluded.revision`,
		string(s.kind), item.ID, string(item.State), item.Latest(), draft, string(archives), item.Edits,
		sqldb.Micros(item.UpdateTime), item.Revision)
	if err != nil {
		return err
	}
	if item.Draft == nil {
		_, err := s.tx.ExecContext(ctx, `DELETE FROM facets WHERE kind = $1 AND draft = 1 AND id = $2`, string(s.kind), item.ID)
		return err
	}
	return s.putFacets(ctx, item.ID, 1, (*item.Draft).Facets())
}

// Delete implements catalog.ItemsTx.
func (s itemsTx[C]) Delete(ctx context.Context, id string) error {
	if _, err := s.tx.ExecContext(ctx, `DELETE FROM facets WHERE kind = $1 AND id = $2`, string(s.kind), id); err != nil {
		return err
	}
	_, err := s.tx.ExecContext(ctx, `DELETE FROM items WHERE kind = $1 AND id = $2`, string(s.kind), id)
	return err
}

func (s itemsTx[C]) putFacets(ctx context.Context, id string, draft int, f catalog.Facets) error {
	search := catalog.Fold(strings.Join(append([]string{id, f.Title}, f.Texts...), "\n"))
	_, err := s.tx.ExecContext(ctx, `INSERT INTO facets (kind, id, draft, topic, level, roles, search_text, title_key)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (kind, draft, id) DO UPDATE SET topic = excluded.topic, level = excluded.level, roles = excluded.roles,
search_text = excluded.search_text, title_key = excluded.title_key`,
		string(s.kind), id, draft, f.Topic, f.Level, "\n"+catalog.Fold(strings.Join(f.Roles, "\n"))+"\n", search, catalog.TitleKey(f.Title))
	return err
}

// Publish implements catalog.ItemsTx.
func (s itemsTx[C]) Publish(ctx context.Context, item catalog.Item[C]) error {
	if err := s.Put(ctx, item); err != nil {
		return err
	}
	v := item.Version
	content, err := canonical.JSON(v.Content)
	if err != nil {
		return err
	}
	_, err = s.tx.ExecContext(ctx, `INSERT INTO versions (kind, id, number, content, content_hash, change_class, retake, publish_time, effective_time)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, string(s.kind), item.ID, v.Number, string(content), v.ContentHash,
		string(v.ChangeClass), string(v.Retake), sqldb.Micros(v.PublishTime), sqldb.Micros(v.EffectiveTime))
	if err != nil {
		return err
	}
	if err := s.putFacets(ctx, item.ID, 0, v.Content.Facets()); err != nil {
		return err
	}
	return s.putReferences(ctx, item.ID, v.Content.References())
}

func (s itemsTx[C]) putReferences(ctx context.Context, id string, modules []string) error {
	if _, err := s.tx.ExecContext(ctx, `DELETE FROM module_references WHERE kind = $1 AND id = $2`, string(s.kind), id); err != nil {
		return err
	}
	for position, module := range modules {
		_, err := s.tx.ExecContext(ctx, `INSERT INTO module_references (kind, id, position, module_id) VALUES ($1, $2, $3, $4)`,
			string(s.kind), id, position, module)
		if err != nil {
			return err
		}
	}
	return nil
}

// Mandates implements catalog.ItemsTx.
func (s itemsTx[C]) Mandates(ctx context.Context, id string) (map[int]time.Time, error) {
	type mandate struct {
		number int
		from   int64
	}
	found, err := query(ctx, s.tx, func(row scanner) (m mandate, err error) {
		err = row.Scan(&m.number, &m.from)
		return m, err
	}, `SELECT number, mandate_time FROM versions WHERE kind = $1 AND id = $2 AND mandate_time IS NOT NULL`, string(s.kind), id)
	times := make(map[int]time.Time, len(found))
	for _, m := range found {
		times[m.number] = sqldb.Time(m.from)
	}
	return times, err
}

// Mandate implements catalog.ItemsTx.
func (s itemsTx[C]) Mandate(ctx context.Context, id string, number int, from time.Time) error {
	mandated := sql.NullInt64{Int64: sqldb.Micros(from), Valid: !from.IsZero()}
	result, err := s.tx.ExecContext(ctx, `UPDATE versions SET mandate_time = $1 WHERE kind = $2 AND id = $3 AND number = $4`,
		mandated, string(s.kind), id, number)
	if err != nil {
		return err
	}
	changed, err := result.RowsAffected()
	if err == nil && changed == 0 {
		return catalog.VersionNotFound(id, number)
	}
	return err
}

// records reads everything published of a kind whose revision comes after the given one.
func records[C catalog.Content[C]](ctx context.Context, tx sqldb.Tx, kind catalog.Kind, after int64) ([]catalog.Record[C], error) {
	found, err := query(ctx, tx, scanRecord[C], `SELECT id, state, archives, revision FROM items
WHERE kind = $1 AND revision > $2 AND latest_version > 0 ORDER BY id`, string(kind), after)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	type owned struct {
		id string
		catalog.Version[C]
	}
	versions, err := query(ctx, tx, func(row scanner) (o owned, err error) {
		o.Version, err = scanVersion[C](prefixed{row, &o.id})
		return o, err
	}, `SELECT v.id, `+versionColumns+` FROM versions v JOIN items i ON i.kind = v.kind AND i.id = v.id
WHERE v.kind = $1 AND i.revision > $2 ORDER BY v.id, v.number`, string(kind), after)
	if err != nil {
		return nil, err
	}
	next := 0
	for i := range found {
		for next < len(versions) && versions[next].id == found[i].ID {
			found[i].Versions = append(found[i].Versions, versions[next].Version)
			next++
		}
	}
	return found, nil
}

func scanRecord[C catalog.Content[C]](row scanner) (r catalog.Record[C], err error) {
	var archives string
	if err := row.Scan(&r.ID, &r.State, &archives, &r.Revision); err != nil {
		return r, err
	}
	err = json.Unmarshal([]byte(archives), &r.Archives)
	return r, err
}

// prefixed is a row with one more column before those that are asked for.
type prefixed struct {
	scanner
	first any
}

// Scan reads the first column too.
func (p prefixed) Scan(into ...any) error {
	return p.scanner.Scan(append([]any{p.first}, into...)...)
}
