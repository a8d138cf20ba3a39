package gateway

import (
	"bytes"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strconv"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// reasonsMark is where index.html has the reasons.
const reasonsMark = "<!-- reasons -->"

// reasonUse is where a reason occurs: the heading of its part of the page, and how to name one.
type reasonUse struct {
	use            errs.Use
	heading, where string
}

// reasonUses returns the uses that a client can meet, in the order of the page. A reason stands once,
// under its first use, since a problem's type links to it; a second meaning says where it applies.
func reasonUses() []reasonUse {
	return []reasonUse{
		{errs.UseError, "Problems", "A problem"},
		{errs.UseRejected, "Events that are REJECTED", "An event that is REJECTED"},
		{errs.UseRetry, "Events to send again (RETRY)", "An event to send again (RETRY)"},
		{errs.UseRequest, "Violations of a request", "A violation of a request"},
		{errs.UsePublishing, "Violations of publishing", "A violation of publishing"},
		{errs.UseWarning, "Warnings", "A warning"},
	}
}

var inlineCode = regexp.MustCompile("`([^`]+)`")

// reasonsHTML returns the definition lists of all reasons that a client can meet, each with the
// anchor that a problem's type names.
func reasonsHTML(meanings []errs.Meaning) []byte {
	byReason := map[string][]errs.Meaning{}
	for _, m := range meanings {
		byReason[m.Reason] = append(byReason[m.Reason], m)
	}
	var b bytes.Buffer
	shown := map[string]bool{}
	for _, group := range reasonUses() {
		fmt.Fprintf(&b, "<section class=\"reason-group\">\n<h3>%s</h3>\n<dl class=\"reasons\">\n", group.heading)
		for _, m := range meanings {
			if m.Use != group.use || shown[m.Reason] {
				continue
			}
			shown[m.Reason] = true
			fmt.Fprintf(&b, "<div id=\"reason-%s\"><dt>%s</dt><dd>%s</dd>", m.Reason, m.Reason, meaningHTML(m))
			writeOtherMeanings(&b, m, byReason[m.Reason])
			b.WriteString("</div>\n")
		}
		b.WriteString("</dl>\n</section>\n")
	}
	return b.Bytes()
}

// writeOtherMeanings writes what a reason means elsewhere than at its first use, if that is another
// text.
func writeOtherMeanings(b *bytes.Buffer, first errs.Meaning, all []errs.Meaning) {
	for _, group := range reasonUses() {
		for _, m := range all {
			if m.Use == group.use && m.Use != first.Use && m.Text != first.Text {
				fmt.Fprintf(b, "<dd>%s: %s</dd>", group.where, meaningHTML(m))
			}
		}
	}
}

// meaningHTML returns a meaning, after its status if it has one.
func meaningHTML(m errs.Meaning) string {
	text := inlineCode.ReplaceAllString(html.EscapeString(m.Text), "<code>$1</code>")
	if m.Status == 0 {
		return text
	}
	name := http.StatusText(m.Status)
	if name == "" {
		name = "Client Closed Request" // 499, which has no name in net/http
	}
	return `<span class="code-of" title="` + name + `">` + strconv.Itoa(m.Status) + "</span> " + text
}
