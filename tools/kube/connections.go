package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
)

const (
	// databaseAnnotation names on a Deployment the Postgres server that it uses.
	databaseAnnotation = "preceptor.dev/postgres"
	// connectionsAnnotation, with that name behind it, is on the Namespace the number of connections
	// that the server takes.
	connectionsAnnotation = "postgres.preceptor.dev/"
	// migrationConns is what a migration and a person with psql may take meanwhile, a service.
	migrationConns = 3
	// holdsConns is for how many seconds a pod that was told to stop may have its connections: it is unready for
	// a while, and then calls in flight end.
	holdsConns = 5 + 20
)

// connections adds up what all pods may open at the worst moment: scaled out, in a rollout.
func connections(c *cluster) []string {
	var f faults
	needed := map[string]int{}
	for _, m := range c.of("Deployment") {
		conns := c.variables(m.pod().Containers[0])["PRECEPTOR_DATABASE_MAX_CONNS"]
		if conns == "" {
			continue
		}
		n, err := strconv.Atoi(conns)
		pods, perr := c.mostPods(m)
		server := m.Metadata.Annotations[databaseAnnotation]
		if err != nil || perr != nil || server == "" {
			f.addf("%s: its connections, its surge or its annotation %s cannot be read", m, databaseAnnotation)
			continue
		}
		needed[server] += pods*n + migrationConns
	}
	for _, server := range slices.Sorted(maps.Keys(needed)) {
		given := ""
		for _, m := range c.of("Namespace") {
			given = m.Metadata.Annotations[connectionsAnnotation+server]
		}
		limit, err := strconv.Atoi(given)
		if err != nil {
			f.addf("the Namespace does not say how many connections %s takes: annotation %s%s", server, connectionsAnnotation, server)
		} else if n := needed[server]; n > limit {
			f.addf("%s takes %d connections, and scaled out there may be %d", server, limit, n)
		}
	}
	return f
}

// mostPods returns how many pods of a Deployment there may be at once: as many as its autoscaler makes, what a
// rollout adds, and those that still stop. A rollout stops no pod before its successor has been ready for
// minReadySeconds, so that only so many stop at once; where that is no time, all of them may.
func (c *cluster) mostPods(m manifest) (int, error) {
	most := max(m.Spec.Replicas, 1)
	for _, hpa := range c.of("HorizontalPodAutoscaler") {
		if hpa.Spec.ScaleTargetRef.Name == m.Metadata.Name {
			most = hpa.Spec.MaxReplicas
		}
	}
	surge, err := strconv.Atoi(fmt.Sprint(m.Spec.Strategy.RollingUpdate.MaxSurge))
	stopping := most
	if pace := m.Spec.MinReadySeconds; pace > 0 {
		stopping = min(most, (holdsConns+pace-1)/pace)
	}
	return most + surge + stopping, err
}
