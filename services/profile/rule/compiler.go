package rule

import (
	"context"
	"fmt"
	"sync"

	"cel.dev/cel-go/cel"

	"github.com/preceptor-dev/preceptor/services/profile"
)

// Compiler compiles rules, and keeps those of the cohorts.
type Compiler struct {
	env *cel.Env

	mu     sync.Mutex
	loaded bool
	set    profile.RuleSet
}

var _ profile.Rules = (*Compiler)(nil)

// NewCompiler makes a Compiler.
func NewCompiler() (*Compiler, error) {
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("rule: %w", err)
	}
	return &Compiler{env: env}, nil
}

// Compile implements profile.Rules.
func (c *Compiler) Compile(text string) (profile.Rule, error) {
	compiled, err := compile(c.env, text)
	if err != nil {
		return nil, err
	}
	return compiled, nil
}

// Set implements profile.Rules.
func (c *Compiler) Set(ctx context.Context, source profile.RuleSource, fresh bool) (profile.RuleSet, error) {
	c.mu.Lock()
	set, loaded := c.set, c.loaded
	c.mu.Unlock()
	if loaded && !fresh {
		return set, nil
	}
	read, err := source.Rules(ctx)
	if err != nil {
		return profile.RuleSet{}, err
	}
	c.fill(&read, set)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set, c.loaded = read, true
	return read, nil
}

// fill compiles the rules of a set, other than those that a former set has compiled.
func (c *Compiler) fill(read *profile.RuleSet, former profile.RuleSet) {
	compiled := make(map[string]profile.Rule, len(former.Rules))
	for _, r := range former.Rules {
		compiled[r.Text] = r.Rule
	}
	for i := range read.Rules {
		r := &read.Rules[i]
		if r.Rule = compiled[r.Text]; r.Rule != nil {
			continue
		}
		var err error
		if r.Rule, err = c.Compile(r.Text); err != nil {
			r.Rule = broken{err}
		}
	}
}

// broken is a rule that was saved and does not compile any more. Members stay what they were, and the cohort says so.
type broken struct{ err error }

// Holds returns why the rule does not compile.
func (b broken) Holds(profile.Facts) (bool, error) { return false, b.err }

// Reads returns nothing.
func (broken) Reads() []string { return nil }
