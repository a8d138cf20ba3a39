// Package rule compiles and evaluates the rules of cohorts. A rule is an expression in CEL over what admins set of a
// learner: attributes, hireDate and state. It knows no names, no addresses and no clock, and what it may cost is
// bounded when it is compiled.
package rule

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/checker"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/profile"
)

// The names that a rule may use.
const (
	attributesName = "attributes"
	hireDateName   = profile.HireDate
	stateName      = "state"
)

const (
	// maxCharacters is how long a rule may be.
	maxCharacters = 4000
	// maxDepth is how deeply it may be nested.
	maxDepth = 50
	// maxCost is what evaluating it for one learner may cost, in the units of CEL: about one for each operation, and
	// one for ten characters that an operation looks at.
	maxCost = 20_000
	// maxNodes is how many parts it may have once its macros are expanded.
	maxNodes = 4_000
)

// What an attribute can be, as the estimate of the cost wants to know it.
const (
	maxAttributes = 50
	maxName       = 63
	maxValue      = 200
	dateLength    = 10
	maxState      = 9
)

// Rule is a compiled rule. It is safe for concurrent use.
type Rule struct {
	program cel.Program
	reads   []string
}

var _ profile.Rule = (*Rule)(nil)

// Reads implements profile.Rule.
func (r *Rule) Reads() []string { return r.reads }

// Holds implements profile.Rule.
func (r *Rule) Holds(facts profile.Facts) (bool, error) {
	value, _, err := r.program.Eval(&activation{facts: facts})
	if err != nil {
		return false, err
	}
	holds, ok := value.(types.Bool)
	if !ok {
		return false, fmt.Errorf("the rule has the value %v, which is neither true nor false", value)
	}
	return bool(holds), nil
}

// environment is what rules are compiled in.
func environment() (*cel.Env, error) {
	// Whether a map has a name is no question here: an attribute that a learner does not have is "".
	macros := slices.DeleteFunc(slices.Clone(cel.StandardMacros), func(m cel.Macro) bool { return m.Function() == "has" })
	return cel.NewCustomEnv(
		cel.StdLib(),
		cel.ClearMacros(), cel.Macros(macros...),
		cel.Variable(attributesName, cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable(hireDateName, cel.StringType),
		cel.Variable(stateName, cel.StringType),
		cel.ParserRecursionLimit(maxDepth),
		cel.ParserExpressionSizeLimit(maxCharacters),
		cel.DefaultUTCTimeZone(true),
	)
}

// compile returns a rule, or Invalid with a violation for each fault.
func compile(env *cel.Env, text string) (*Rule, error) {
	parsed, issues := env.Parse(text)
	if issues.Err() == nil && nodes(parsed.NativeRep()) > maxNodes {
		return nil, costly("is too large once its macros are expanded")
	}
	var checked *cel.Ast
	if issues.Err() == nil {
		checked, issues = env.Check(parsed)
	}
	if issues.Err() != nil {
		return nil, invalid(issues)
	}
	if !checked.OutputType().IsExactType(cel.BoolType) {
		return nil, errs.InvalidFields([]errs.Violation{{
			Field: "rule", Reason: errs.ReasonRuleInvalid,
			Description: fmt.Sprintf("line 1, column 1: must be true or false for a learner; this is a value of type %s", checked.OutputType()),
		}})
	}
	cost, err := env.EstimateCost(checked, sizes{})
	if err != nil {
		return nil, costly("has a cost that cannot be estimated: " + err.Error())
	}
	if cost.Max > maxCost {
		return nil, costly(fmt.Sprintf("may cost %d units for a learner, and %d is the most; look at fewer things, or not at each beside each", cost.Max, maxCost))
	}
	program, err := env.Program(checked, cel.EvalOptions(cel.OptOptimize))
	if err != nil { // a constant regular expression that is none, say
		return nil, errs.InvalidFields([]errs.Violation{{Field: "rule", Reason: errs.ReasonRuleInvalid, Description: "line 1, column 1: " + err.Error()}})
	}
	return &Rule{program: program, reads: reads(checked.NativeRep())}, nil
}

// invalid returns a violation for each of the issues, with its place.
func invalid(issues *cel.Issues) error {
	var v errs.Violations
	for _, fault := range issues.Errors() {
		reason := errs.ReasonRuleInvalid
		if strings.Contains(fault.Message, "limit") && strings.Contains(fault.Message, "exceed") { // of its length, or depth
			reason = errs.ReasonRuleTooCostly
		}
		what := strings.TrimSuffix(fault.Message, " (in container '')")
		v.Addf("rule", reason, "line %d, column %d: %s", max(fault.Location.Line(), 1), max(fault.Location.Column(), 0)+1, what)
	}
	return v.Err()
}

func costly(why string) error {
	return errs.InvalidFields([]errs.Violation{{Field: "rule", Reason: errs.ReasonRuleTooCostly, Description: why}})
}

// nodes is how many parts an expression has.
func nodes(parsed *ast.AST) (n int) {
	ast.PreOrderVisit(parsed.Expr(), ast.NewExprVisitor(func(ast.Expr) { n++ }))
	return n
}

// reads are the names of what an expression looks at; attributes whose names it computes are not among them.
func reads(checked *ast.AST) []string {
	found := map[string]bool{}
	ast.PreOrderVisit(checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.IdentKind:
			if name := e.AsIdent(); name == hireDateName || name == stateName {
				found[name] = true
			}
		case ast.SelectKind:
			if s := e.AsSelect(); isAttributes(s.Operand()) {
				found[attributesName+"."+s.FieldName()] = true
			}
		case ast.CallKind:
			if c := e.AsCall(); c.FunctionName() == "_[_]" && isAttributes(c.Args()[0]) && c.Args()[1].Kind() == ast.LiteralKind {
				if name, ok := c.Args()[1].AsLiteral().(types.String); ok {
					found[attributesName+"."+string(name)] = true
				}
			}
		default: // it names nothing
		}
	}))
	return slices.Sorted(maps.Keys(found))
}

func isAttributes(e ast.Expr) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == attributesName }

// sizes are how large what a rule looks at can be.
type sizes struct{}

var _ checker.CostEstimator = sizes{}

// EstimateSize implements checker.CostEstimator.
func (sizes) EstimateSize(element checker.AstNode) *checker.SizeEstimate {
	path := element.Path()
	if len(path) == 0 {
		return nil
	}
	most := uint64(maxValue)
	switch {
	case path[0] == hireDateName:
		most = dateLength
	case path[0] == stateName:
		most = maxState
	case path[0] == attributesName && len(path) == 1:
		most = maxAttributes
	case path[0] == attributesName && path[1] == "@keys":
		most = maxName
	}
	return &checker.SizeEstimate{Min: 0, Max: most}
}

// EstimateCallCost implements checker.CostEstimator.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}
