package catalog

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/preceptor-dev/preceptor/internal/canonical"
)

// longestQuote is how many characters of a text a difference shows.
const longestQuote = 60

// differences says, a line each, in what the content differs from the version; of a
// first version only that it is one.
func differences[C Content[C]](newest *Version[C], content C) ([]string, error) {
	if newest == nil {
		return []string{"new"}, nil
	}
	before, err := fieldsOf(newest.Content)
	if err != nil {
		return nil, err
	}
	after, err := fieldsOf(content.Resolved())
	if err != nil {
		return nil, err
	}
	return compareFields("", before, after)
}

// fieldsOf is a content as its JSON has it.
func fieldsOf(content any) (map[string]any, error) {
	text, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	err = json.Unmarshal(text, &fields)
	return fields, err
}

// compareFields compares two objects field by field; at begins each line.
func compareFields(at string, before, after map[string]any) ([]string, error) {
	names := slices.Collect(maps.Keys(before))
	for name := range after {
		if _, both := before[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var lines []string
	for _, name := range names {
		more, err := compareField(at+name, before[name], after[name])
		if err != nil {
			return nil, err
		}
		lines = append(lines, more...)
	}
	return lines, nil
}

func compareField(at string, before, after any) ([]string, error) {
	if equal, err := same(before, after); err != nil || equal {
		return nil, err
	}
	if was, ok := parts(before); ok {
		if is, ok := parts(after); ok {
			return compareParts(at, was, is)
		}
	}
	return []string{at + ": " + change(before, after)}, nil
}

// parts are the elements of a list whose elements have ids: units, milestones.
func parts(value any) ([]map[string]any, bool) {
	list, ok := value.([]any)
	if !ok {
		return nil, false
	}
	var out []map[string]any
	for _, element := range list {
		part, ok := element.(map[string]any)
		if !ok || part["id"] == nil {
			return nil, false
		}
		out = append(out, part)
	}
	return out, true
}

// compareParts compares two such lists by their ids.
func compareParts(at string, before, after []map[string]any) ([]string, error) {
	one := strings.TrimSuffix(at, "s")
	find := func(list []map[string]any, id any) map[string]any {
		i := slices.IndexFunc(list, func(p map[string]any) bool { return p["id"] == id })
		if i < 0 {
			return nil
		}
		return list[i]
	}
	var lines []string
	for _, part := range before {
		if find(after, part["id"]) == nil {
			lines = append(lines, fmt.Sprintf("%s %q removed", one, part["id"]))
		}
	}
	for _, part := range after {
		earlier := find(before, part["id"])
		if earlier == nil {
			lines = append(lines, fmt.Sprintf("%s %q added", one, part["id"]))
			continue
		}
		more, err := compareFields(fmt.Sprintf("%s %q: ", one, part["id"]), earlier, part)
		if err != nil {
			return nil, err
		}
		lines = append(lines, more...)
	}
	if len(lines) == 0 {
		lines = []string{at + ": put in another order"}
	}
	return lines, nil
}

// change shows both values where they are short, and which entries came and went of
// lists of texts.
func change(before, after any) string {
	was, wasTexts := texts(before)
	is, isTexts := texts(after)
	if wasTexts && isTexts {
		came, went := without(is, was), without(was, is)
		words := make([]string, 0, len(came)+len(went))
		for _, text := range came {
			words = append(words, "+"+quote(text))
		}
		for _, text := range went {
			words = append(words, "-"+quote(text))
		}
		if len(words) == 0 {
			return "put in another order"
		}
		return strings.Join(words, ", ")
	}
	return quote(before) + " → " + quote(after)
}

// texts are a list of texts; what is absent is an empty one.
func texts(value any) ([]string, bool) {
	if value == nil {
		return nil, true
	}
	list, ok := value.([]any)
	var out []string
	for _, element := range list {
		text, isText := element.(string)
		if !isText {
			return nil, false
		}
		out = append(out, text)
	}
	return out, ok
}

// quote shows a value as JSON, and of a long one the beginning.
func quote(value any) string {
	if value == nil {
		return "none"
	}
	text, err := canonical.JSON(value)
	if err != nil {
		return "?"
	}
	runes := []rune(string(text))
	if len(runes) > longestQuote {
		return string(runes[:longestQuote]) + "…"
	}
	return string(text)
}
