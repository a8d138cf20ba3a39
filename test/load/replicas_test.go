package main

import (
	"os"
	"strings"
	"testing"
)

// TestLookups sums what several processes count, and nothing of other caches.
func TestLookups(t *testing.T) {
	var l lookups
	for _, text := range []string{
		"# HELP preceptor_learner_memory_requests_total x\npreceptor_learner_memory_requests_total{result=\"hit\"} 30\n" +
			"preceptor_learner_memory_requests_total{result=\"miss\"} 1e+01\npreceptor_cache_requests_total{result=\"hit\"} 7\n",
		"preceptor_learner_memory_requests_total{result=\"hit\"} 12\n",
		"preceptor_cache_requests_total{result=\"miss\"} 7\n",
	} {
		if err := l.add(text); err != nil {
			t.Fatal(err)
		}
	}
	if l != (lookups{42, 10}) {
		t.Errorf("got %+v", l)
	}
}

// TestRoutingIsWhereItIsReplaced holds the build without routing to the file whose place it takes.
func TestRoutingIsWhereItIsReplaced(t *testing.T) {
	text, err := os.ReadFile("../../" + routingFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"func LearnerOf(", " context.Context) string {"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s lacks %q", routingFile, want)
		}
	}
	if n := strings.Count(string(text), "\nfunc "); n != 1 {
		t.Errorf("%s has %d functions, of which one is replaced", routingFile, n)
	}
}
