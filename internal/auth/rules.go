package auth

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	accessv1 "github.com/preceptor-dev/preceptor/gen/preceptor/access/v1"
)

// learnerField is the request field with the learner whose data a call is about.
const learnerField protoreflect.Name = "learner_id"

// cohortField is the request field with the cohort that a call is about.
const cohortField protoreflect.Name = "cohort_id"

// Rule is the access rule in one RPC's proto.
type Rule struct {
	// Method is the full name as gRPC spells it: "/preceptor.progress.v1.ProgressService/ListEvents".
	Method string
	// Access is the option preceptor.access.v1.access; nil when there is none,
	// and then the RPC refuses everybody.
	Access *accessv1.Access
	// NamesLearner reports whether the request has a field learner_id.
	NamesLearner bool
	// Descriptor is the RPC itself.
	Descriptor protoreflect.MethodDescriptor
}

// Rules returns the rule of every RPC of ours in the files, by name.
func Rules(files *protoregistry.Files) []Rule {
	var rules []Rule
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(file.Package()), "preceptor.") {
			return true
		}
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				rules = append(rules, ruleOf(methods.Get(j)))
			}
		}
		return true
	})
	slices.SortFunc(rules, func(a, b Rule) int { return strings.Compare(a.Method, b.Method) })
	return rules
}

func ruleOf(method protoreflect.MethodDescriptor) Rule {
	rule := Rule{
		Method:     "/" + string(method.Parent().FullName()) + "/" + string(method.Name()),
		Descriptor: method,
	}
	if proto.HasExtension(method.Options(), accessv1.E_Access) {
		rule.Access, _ = proto.GetExtension(method.Options(), accessv1.E_Access).(*accessv1.Access)
	}
	field := method.Input().Fields().ByName(learnerField)
	rule.NamesLearner = field != nil && field.Kind() == protoreflect.StringKind && !field.IsList()
	return rule
}

// admitsRole reports whether one of the principal's roles is on the RPC's list.
func (r Rule) admitsRole(p Principal) bool {
	return slices.ContainsFunc(r.Access.GetRoles(), func(role accessv1.Access_Role) bool {
		return role != accessv1.Access_ROLE_UNSPECIFIED && p.HasRole(roleName(role))
	})
}

// admitsService reports whether the calling service is on the RPC's list.
func (r Rule) admitsService(name string) bool {
	return name != "" && slices.Contains(r.Access.GetServices(), name)
}

// needs returns what the RPC asks for, for the error of a caller that was refused.
func (r Rule) needs() string {
	var roles []string
	for _, role := range r.Access.GetRoles() {
		if role != accessv1.Access_ROLE_UNSPECIFIED {
			roles = append(roles, string(roleName(role)))
		}
	}
	if r.Access.GetManager() {
		roles = append(roles, string(RoleManager))
	}
	if len(roles) == 0 {
		return "is not open to people"
	}
	return "needs role " + strings.Join(roles, " or ")
}

func roleName(role accessv1.Access_Role) Role { return Role(strings.ToLower(role.String())) }
