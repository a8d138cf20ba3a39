package catalog

import (
	"strconv"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/preceptor-dev/preceptor/internal/page"
)

// What lists of modules and paths can be ordered by, the first one where nothing is said.
const (
	OrderID          = "id"
	OrderTitle       = "title"
	OrderPublishTime = "publishTime"
)

// ListOrders are all of them.
func ListOrders() []string { return []string{OrderID, OrderTitle, OrderPublishTime} }

// Fold maps texts that differ only in case, or in how Unicode composes their letters, to
// the same text. A store folds what it searches in and orders by with it.
func Fold(text string) string {
	// Folding can take composed letters apart, hence the second time.
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(text)))
}

// TitleKey is what decides where a title stands in an order.
func TitleKey(title string) string { return page.Key(Fold(title)) }

// place is where the item stands in a list of drafts or of newest versions.
func (i Item[C]) place(drafts bool) Place {
	place := Place{ID: i.ID}
	if i.Version != nil {
		place.Published = i.Version.PublishTime.UnixMicro()
	}
	switch {
	case drafts && i.Draft != nil:
		place.TitleKey = TitleKey((*i.Draft).Facets().Title)
	case !drafts && i.Version != nil:
		place.TitleKey = TitleKey(i.Version.Content.Facets().Title)
	}
	return place
}

// keys are the place as a page token has it.
func (p Place) keys(order page.Order) []string {
	switch order.Field {
	case OrderTitle:
		return []string{p.TitleKey, p.ID}
	case OrderPublishTime:
		return []string{strconv.FormatInt(p.Published, 10), p.ID}
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
	if place.ID == "" {
		return Place{}, page.Bad()
	}
	switch order.Field {
	case OrderTitle:
		place.TitleKey = keys[0]
	case OrderPublishTime:
		if place.Published, err = strconv.ParseInt(keys[0], 10, 64); err != nil {
			return Place{}, page.Bad()
		}
	}
	return place, nil
}
