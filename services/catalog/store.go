package catalog

import (
	"context"
	"time"

	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/internal/page"
)

// Store is all that a Service needs of its storage. Times are stored to the microsecond;
// texts as given.
type Store interface {
	// Modules and Paths read modules and paths.
	Modules() Items[ModuleContent]
	Paths() Items[PathContent]

	Index
	Feed
	Editor
}

// Index reads across all modules and paths.
type Index interface {
	// Topics returns the topics of active modules, by id, each with how many there are.
	Topics(ctx context.Context) ([]Topic, error)

	// PathsNaming returns the ids of the active paths whose newest version names the module.
	PathsNaming(ctx context.Context, moduleID string) ([]string, error)

	// Nodes returns every module, by id.
	Nodes(ctx context.Context) (map[string]Node, error)
}

// Feed reads what readers of the catalog could see change.
type Feed interface {
	// Revision returns the newest revision; 0 before the first.
	Revision(ctx context.Context) (int64, error)

	// State names the state of the catalog, drafts included: it is another one after each Edit, and where the
	// database is a copy, or goes on from an earlier state, than any that was named in this process before.
	State(ctx context.Context) (string, error)

	// Changes returns at most limit changes after the revision, oldest first, and the
	// newest revision, both as one commit left them.
	Changes(ctx context.Context, after int64, limit int) ([]Change, int64, error)

	// Snapshot returns everything published whose revision comes after the given one, and
	// the newest revision, as one commit left them.
	Snapshot(ctx context.Context, after int64) (Snapshot, error)
}

// Editor changes the catalog.
type Editor interface {
	// Edit runs f in one transaction, with no other beside it. It commits what f did when f
	// returns nil; else it changes nothing, and returns f's error. F may run more than once.
	Edit(ctx context.Context, f func(ctx context.Context, tx Tx) error) error
}

// Items reads modules or paths.
type Items[C Content[C]] interface {
	// Get returns the item. Returns NotFound when no item has the id.
	Get(ctx context.Context, id string) (Item[C], error)

	// Version returns one published version. Returns NotFound VERSION_NOT_FOUND when
	// there is none, the item included.
	Version(ctx context.Context, id string, number int) (Version[C], error)

	// Versions returns at most limit versions with numbers below the given one, newest
	// first; none for an unknown item. A bound of 0 is none.
	Versions(ctx context.Context, id string, below, limit int) ([]Version[C], error)

	// List returns at most limit items that match, in the order of the ListOrders, that come
	// after the place in it. Texts are in byte order, titles by their TitleKey; what was
	// never published comes before all that was. Equals are by id, in the same direction.
	List(ctx context.Context, filter Filter, order page.Order, after Place, limit int) ([]Item[C], error)

	// Count returns how many items List would find without limit.
	Count(ctx context.Context, filter Filter) (int, error)
}

// Filter is which items; an empty field matches all.
type Filter struct {
	// State ACTIVE and ARCHIVED look at newest versions; DRAFT finds whatever has a
	// draft, in any state, and looks at the draft.
	State              State
	Topic, Level, Role string
	// Words must each be in the item's text, in any case.
	Words []string
	// IDs are the only ones that match, where there are any.
	IDs []string
}

// Place is where an item stands in a list; the zero Place is before all.
type Place struct {
	// TitleKey is that of the title.
	TitleKey string
	// Published is the PublishTime of the newest version, in microseconds since 1970; 0: none.
	Published int64
	ID        string
}

// Tx is the catalog inside of Edit: what it writes it also reads.
type Tx interface {
	Modules() ItemsTx[ModuleContent]
	Paths() ItemsTx[PathContent]

	// Nodes returns every module, by id.
	Nodes(ctx context.Context) (map[string]Node, error)

	// PathsNaming returns the ids of the active paths whose newest version names the module.
	PathsNaming(ctx context.Context, moduleID string) ([]string, error)

	// Revision returns the newest revision.
	Revision(ctx context.Context) (int64, error)

	// Announce gives the change the next revision, and returns that.
	Announce(ctx context.Context, change Change) (int64, error)

	// Audit appends entries to the chain of admin commands.
	Audit(ctx context.Context, entries []AuditEntry) error

	// FindResponse and SaveResponse are FindIdempotent and SaveIdempotent of sqldb.
	FindResponse(ctx context.Context, key idem.Key, now time.Time) (response []byte, found bool, err error)
	SaveResponse(ctx context.Context, key idem.Key, response []byte, now time.Time) error
}

// AuditEntry is an admin command, for the chain of those.
type AuditEntry struct {
	Time                            time.Time
	Actor, Action, Resource, Reason string
}

// ItemsTx reads and writes modules or paths inside of Edit.
type ItemsTx[C Content[C]] interface {
	// Get returns the item. Returns NotFound when no item has the id.
	Get(ctx context.Context, id string) (Item[C], error)

	// Put stores the item, new or not, apart from its Version.
	Put(ctx context.Context, item Item[C]) error

	// Delete removes the item, which has no versions; one that does not exist is no error.
	Delete(ctx context.Context, id string) error

	// Publish is Put and stores the item's Version, which must be new; it is not mandatory yet.
	Publish(ctx context.Context, item Item[C]) error

	// Mandates returns the MandateTimes of the item's versions, by number; those that are
	// not mandatory are not among them.
	Mandates(ctx context.Context, id string) (map[int]time.Time, error)

	// Mandate sets the version's MandateTime; with the zero time it is no longer mandatory.
	// Returns NotFound VERSION_NOT_FOUND when there is no such version.
	Mandate(ctx context.Context, id string, number int, from time.Time) error
}

// Node is a module in the graph of prerequisites.
type Node struct {
	State State
	// Prerequisites are the newest version's.
	Prerequisites []string
}

// Record is a module or path with every version, oldest first.
type Record[C Content[C]] struct {
	ID       string
	State    State
	Versions []Version[C]
	Archives []ArchivePeriod
	Revision int64
}

// Snapshot is all that was published, or what changed since a revision; by id.
type Snapshot struct {
	Revision int64
	Modules  []Record[ModuleContent]
	Paths    []Record[PathContent]
}
