package main

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
)

// TestDay checks a day that is drawn against what the model says of it, and that docs/scale.md
// shows the days as they are drawn.
func TestDay(t *testing.T) {
	const learners = 100_000
	d := simulate(learners, reminder{})
	sessions := learners * sessionsADay
	want := sessions * float64(count(opening())+count(between())+postsASession) / daySeconds
	if math.Abs(d.requests.day/want-1) > 1e-6 || math.Abs(d.posts.day-sessions*postsASession/daySeconds) > 1e-6 {
		t.Errorf("%+v, want %.3f requests a second", d, want)
	}
	if p := d.requests; p.day > p.hour || p.hour > p.minute || p.minute > p.second {
		t.Errorf("the peaks are out of order: %+v", p)
	}
	if low := d.requests.hour * 3600 / (d.requests.day * daySeconds); low < 0.09 || low > 0.11 {
		t.Errorf("the busiest hour has %.3f of the day", low)
	}
	sum := 0
	for _, share := range hours() {
		sum += share
	}
	if sum != 1000 {
		t.Errorf("the hours' shares are %d thousandths", sum)
	}
	text, err := os.ReadFile("../../docs/scale.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{plainDay, reminderDay} {
		for _, learners := range []int{learners, 1_000_000} {
			if row := dayRow(learners, name); !strings.Contains(string(text), row) {
				t.Errorf("docs/scale.md lacks this row; go run ./test/load scale -simulate prints all:\n%s", row)
			}
		}
	}
}

// cut is the text between two others.
func cut(text, from, to string) string {
	_, rest, _ := strings.Cut(text, from)
	found, _, _ := strings.Cut(rest, to)
	return found
}

// TestPods holds what is reckoned with to what deploy/k8s says.
func TestPods(t *testing.T) {
	scaling, err := os.ReadFile("../../deploy/k8s/components/scaling/scaling.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for p, shape := range pods() {
		scaled := cut(string(scaling), "kind: Deployment\n    name: preceptor-"+partName(p)+"\n", "behavior:")
		for _, want := range []string{fmt.Sprintf("minReplicas: %.0f\n", shape.fewest), fmt.Sprintf("maxReplicas: %.0f\n", shape.most)} {
			if !strings.Contains(scaled, want) {
				t.Errorf("%s is scaled otherwise than %+v", partName(p), shape)
			}
		}
		if byMemory := strings.Contains(scaled, fmt.Sprintf("averageUtilization: %.0f\n", 100*scaledAt)); byMemory != (p == atGateway || p == atProgress) {
			t.Errorf("%s is scaled by memory at %.0f %%: %v", partName(p), 100*scaledAt, byMemory)
		}
		text, err := os.ReadFile("../../deploy/k8s/base/" + partName(p) + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(cut(string(text), "limits:", "Probe"), fmt.Sprintf("memory: %.0fMi\n", shape.memory)) {
			t.Errorf("%s has another limit of memory than %.0f MiB", partName(p), shape.memory)
		}
		request := map[float64]string{0.1: "cpu: 100m\n", 0.25: "cpu: 250m\n", 0.5: "cpu: 500m\n"}[shape.request]
		limit := map[float64]string{1: "cpu: \"1\"\n", 2: "cpu: \"2\"\n"}[shape.limit]
		connections := fmt.Sprintf("name: PRECEPTOR_DATABASE_MAX_CONNS\n              value: \"%.0f\"\n", shape.connections)
		if p == atGateway {
			connections = "serve, gateway"
		}
		for _, part := range []string{request, limit, connections} {
			if part == "" || !strings.Contains(string(text), part) {
				t.Errorf("%s is not as %+v", partName(p), shape)
			}
		}
	}
}

func TestMiddle(t *testing.T) {
	m := middle([]figure{{requests: 1, perSecond: 3, sent: 10}, {requests: 1, perSecond: 1, sent: 30}, {requests: 1, perSecond: 2, sent: 20}})
	if m.requests != 3 || m.perSecond != 2 || m.sent != 20 {
		t.Errorf("%+v", m)
	}
}
