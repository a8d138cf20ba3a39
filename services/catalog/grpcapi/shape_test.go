package grpcapi

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/services/catalog"
)

// TestShapeIsTheProtos proves that contents that pass no interceptor meet the same rules
// as those that do.
func TestShapeIsTheProtos(t *testing.T) {
	validator := rpc.NewValidator()
	compare := func(r *rapid.T, message proto.Message, shape []errs.Violation) {
		var want []string
		if e, ok := errors.AsType[*errs.Error](validator.Check(message, "")); ok {
			want = names(e.Violations)
		}
		if got := names(shape); !slices.Equal(got, want) {
			r.Fatalf("shape\n%q, proto\n%q, of\n%v", got, want, message)
		}
	}
	service := catalog.New(discarding{}, nil, catalog.Options{Now: func() time.Time { return time.Time{} }})
	rapid.Check(t, func(r *rapid.T) {
		module := anyModuleProto(r)
		compare(r, module, shapeOf(service.Modules, moduleContentOf(module)))
		path := anyPathProto(r)
		compare(r, path, shapeOf(service.Paths, pathContentOf(path)))
	})
}

// discarding is a store that edits nothing: only the shape of a draft is checked before.
type discarding struct{ catalog.Store }

func (discarding) Modules() catalog.Items[catalog.ModuleContent] { return nil }
func (discarding) Paths() catalog.Items[catalog.PathContent]     { return nil }

func (discarding) Edit(context.Context, func(context.Context, catalog.Tx) error) error { return nil }

// shapeOf returns the violations of the content's shape.
func shapeOf[C catalog.Content[C]](c *catalog.Collection[C], content C) []errs.Violation {
	_, _, err := c.Create(context.Background(), "id", content, idem.Key{}, func(catalog.Item[C]) ([]byte, error) { return nil, nil })
	if e, ok := errors.AsType[*errs.Error](err); ok {
		return e.Violations
	}
	return nil
}

func names(violations []errs.Violation) []string {
	var all []string
	for _, v := range violations {
		all = append(all, v.Field+" "+v.Reason)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// length is about the limits.
func length(limit int) *rapid.Generator[string] {
	return rapid.Custom(func(r *rapid.T) string {
		n := rapid.SampledFrom([]int{0, 1, 2, limit - 1, limit, limit + 1}).Draw(r, "n")
		return strings.Repeat(rapid.SampledFrom([]string{"a", "é", "A", "0"}).Draw(r, "letter"), n)
	})
}

func list(r *rapid.T, name string, limit, letters int) []string {
	n := rapid.SampledFrom([]int{0, 1, 2, limit, limit + 1}).Draw(r, name)
	all := make([]string, n)
	for i := range all {
		all[i] = "x"
	}
	if n > 0 {
		all[n-1] = length(letters).Draw(r, name+" last")
	}
	return all
}

func id(r *rapid.T, name string) string {
	return rapid.OneOf(length(63), rapid.SampledFrom([]string{"a-b", "a_b", "-a", "a-", "a.b", "a b", "A", "a\n"})).Draw(r, name)
}

func number(r *rapid.T, name string) *float64 {
	return rapid.SampledFrom([]*float64{
		nil, new(0.0), new(0.5), new(1.0), new(1.1), new(-1.0), new(1000.0), new(1000.5), new(math.Inf(1)), new(math.NaN()),
	}).Draw(r, name)
}

func anyModuleProto(r *rapid.T) *catalogv1.ModuleVersion {
	m := &catalogv1.ModuleVersion{
		Topic: id(r, "topic"), Title: length(200).Draw(r, "title"), Summary: length(4000).Draw(r, "summary"), Level: length(63).Draw(r, "level"),
		Roles: list(r, "roles", 50, 63), Objectives: list(r, "objectives", 50, 500), Duration: length(32).Draw(r, "duration"),
		Prerequisites: list(r, "prerequisites", 50, 63),
	}
	for range rapid.SampledFrom([]int{0, 1, 50, 51}).Draw(r, "credits") {
		m.Credits = append(m.Credits, &catalogv1.Credit{ModuleIds: []string{"a"}})
	}
	if len(m.GetCredits()) == 1 {
		m.Credits[0].ModuleIds = list(r, "credit", 50, 63)
	}
	for range rapid.SampledFrom([]int{0, 1, 200, 201}).Draw(r, "units") {
		m.Units = append(m.Units, &catalogv1.Unit{Id: "a"})
	}
	if len(m.GetUnits()) == 1 {
		m.Units[0] = &catalogv1.Unit{
			Id: id(r, "unit"), Title: length(200).Draw(r, "unit title"), Kind: catalogv1.Unit_Kind(rapid.Int32Range(-1, 8).Draw(r, "kind")),
			Weight: number(r, "weight"), MasteryScore: number(r, "score"), Duration: length(32).Draw(r, "unit duration"),
			ContentUri: length(2048).Draw(r, "uri"), MoveOn: catalogv1.Unit_MoveOn(rapid.Int32Range(-1, 7).Draw(r, "moveOn")).Enum(),
		}
	}
	if rapid.Bool().Draw(r, "policy") {
		m.CurrencyPolicy = &catalogv1.CurrencyPolicy{
			Period: length(32).Draw(r, "period"), Window: length(32).Draw(r, "window"), Grace: length(32).Draw(r, "grace"),
			Basis: catalogv1.CurrencyPolicy_Basis(rapid.Int32Range(-1, 5).Draw(r, "basis")), FixedDate: length(5).Draw(r, "date"),
		}
	}
	return m
}

func anyPathProto(r *rapid.T) *catalogv1.PathVersion {
	p := &catalogv1.PathVersion{
		Title: length(200).Draw(r, "title"), Summary: length(4000).Draw(r, "summary"),
		Roles: list(r, "roles", 50, 63), Backgrounds: list(r, "backgrounds", 10, 63),
	}
	for range rapid.SampledFrom([]int{0, 1, 100, 101}).Draw(r, "milestones") {
		p.Milestones = append(p.Milestones, &catalogv1.Milestone{Id: "a"})
	}
	if len(p.GetMilestones()) == 1 {
		m := p.GetMilestones()[0]
		m.Id, m.Title, m.Summary = id(r, "milestone"), length(200).Draw(r, "milestone title"), length(4000).Draw(r, "milestone summary")
		for range rapid.SampledFrom([]int{0, 1, 50, 51}).Draw(r, "groups") {
			m.Groups = append(m.Groups, &catalogv1.ModuleGroup{})
		}
		if len(m.GetGroups()) == 1 {
			m.Groups[0].ModuleIds = list(r, "group", 200, 63)
			m.Groups[0].RequiredCount = rapid.SampledFrom([]*int32{nil, new(int32(-1)), new(int32(0)), new(int32(200)), new(int32(201))}).Draw(r, "k")
		}
	}
	return p
}
