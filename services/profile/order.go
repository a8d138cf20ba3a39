package profile

import (
	"strconv"
	"time"

	"github.com/preceptor-dev/preceptor/internal/page"
)

// What a list of learners can be ordered by, the first one where nothing is said.
const (
	OrderID          = "id"
	OrderCreateTime  = "createTime"
	OrderDisplayName = "displayName"
)

// ListOrders are all of them.
func ListOrders() []string { return []string{OrderID, OrderCreateTime, OrderDisplayName} }

// NameKey is what decides where a display name stands in an order.
func NameKey(name string) string { return page.Key(Fold(name)) }

// Place is where a learner stands in a list; the zero Place is before all.
type Place struct {
	// NameKey is that of the display name.
	NameKey    string
	CreateTime time.Time
	ID         string
}

func (l Learner) place() Place {
	return Place{NameKey: NameKey(l.DisplayName), CreateTime: l.CreateTime, ID: l.ID}
}

// keys are the place as a page token has it.
func (p Place) keys(order page.Order) []string {
	switch order.Field {
	case OrderDisplayName:
		return []string{p.NameKey, p.ID}
	case OrderCreateTime:
		return []string{strconv.FormatInt(p.CreateTime.UnixMicro(), 10), p.ID}
	}
	return []string{p.ID}
}

// placeOf reads the keys of a page token.
func placeOf(token page.Token, text string, order page.Order) (Place, error) {
	n := len(Place{}.keys(order))
	keys, err := token.Read(text, n)
	if err != nil || keys == nil {
		return Place{}, err
	}
	place := Place{ID: keys[n-1]}
	if !isID(place.ID) {
		return Place{}, page.Bad()
	}
	switch order.Field {
	case OrderDisplayName:
		place.NameKey = keys[0]
	case OrderCreateTime:
		at, err := strconv.ParseInt(keys[0], 10, 64)
		if err != nil {
			return Place{}, page.Bad()
		}
		place.CreateTime = time.UnixMicro(at).UTC()
	}
	return place, nil
}
