package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
)

// mistake is a manifest with something wrong in it that an API server must not take: a check that
// accepts everything would accept ours too.
type mistake struct {
	name, overlay string
	// of is whose text is changed: "Deployment preceptor-progress".
	of, old, replacement string
	// pod asks for the pod of the workload instead of the workload.
	pod bool
	// want is part of the error for it.
	want string
}

// victim is the workload that most mistakes are made in.
const victim = "Deployment preceptor-progress"

// mistakes are of every kind that is relied on, and most of them no schema can see.
func mistakes() []mistake { return slices.Concat(fieldMistakes(), meaningMistakes(), podMistakes()) }

// fieldMistakes are fields and kinds that are none, there twice, or not there.
func fieldMistakes() []mistake {
	return []mistake{
		{
			name: "an unknown field", overlay: production, of: victim,
			old:         "minReadySeconds: 10",
			replacement: "minimalReadySeconds: 10",
			want:        "minimalReadySeconds",
		},
		{
			name: "a field that is there twice", overlay: production, of: victim,
			old:         "minReadySeconds: 10",
			replacement: "minReadySeconds: 10\n  minReadySeconds: 6",
			want:        "minReadySeconds",
		},
		{
			name: "an unknown field of a certificate", overlay: production, of: "Certificate preceptor-progress",
			old:         "duration: 720h",
			replacement: "lasts: 720h",
			want:        "lasts",
		},
		{
			name: "a certificate without a Secret", overlay: production, of: "Certificate preceptor-progress",
			old:         "secretName: preceptor-progress-tls",
			replacement: "",
			want:        "spec.secretName: Required value",
		},
		{
			name: "an unknown kind", overlay: production, of: "PodDisruptionBudget preceptor-progress",
			old:         "policy/v1",
			replacement: "policy/v1beta1",
			want:        "there is no kind",
		},
	}
}

// meaningMistakes are values that cannot be, or do not fit together.
func meaningMistakes() []mistake {
	return []mistake{
		{
			name: "another namespace", overlay: production, of: victim,
			old:         "namespace: preceptor",
			replacement: "namespace: nowhere",
			want:        `namespaces "nowhere" not found`,
		},
		{
			name: "a selector that is about other pods", overlay: production, of: victim,
			old:         "name: preceptor\n  strategy",
			replacement: "name: other\n  strategy",
			want:        "`selector` does not match template `labels`",
		},
		{
			name: "a probe of no port", overlay: production, of: victim,
			old:         "path: /readyz\n            port: health",
			replacement: "path: /readyz\n            port: -1",
			want:        "readinessProbe.httpGet.port",
		},
		{
			name: "more memory wanted than allowed", overlay: production, of: victim,
			old:         "memory: 512Mi\n          requests",
			replacement: "memory: 511Mi\n          requests",
			want:        "must be less than or equal to memory limit",
		},
		{
			name: "fewer pods at most than at least", overlay: production, of: "HorizontalPodAutoscaler preceptor-progress",
			old:         "maxReplicas: 10",
			replacement: "maxReplicas: 2",
			want:        "spec.maxReplicas",
		},
		{
			name: "an exception from another network", overlay: production, of: "NetworkPolicy to-issuer",
			old:         "fc00::/7",
			replacement: "10.0.0.0/8",
			want:        "must be a strict subset of `cidr`",
		},
		{
			name: "no standby to wait for", overlay: store, of: "Cluster main",
			old:         "number: 1",
			replacement: "number: 0",
			want:        "should be greater than zero",
		},
		{
			name: "one file by name from two sources", overlay: production, of: victim,
			old: "          - configMap:\n              name: preceptor-authorities\n",
			replacement: "          - secret: {name: a, items: [{key: ca.crt, path: ca.crt}]}\n" +
				"          - configMap:\n              items: [{key: ca.crt, path: ca.crt}]\n              name: preceptor-authorities\n",
			want: "conflicting duplicate paths",
		},
		{
			name: "another version of a migration that is there", overlay: production + "/migrate", of: "Job preceptor-migrate-progress",
			old:         "preceptor:v0.1.0",
			replacement: "preceptor:v0.2.0",
			want:        "field is immutable",
		},
	}
}

// podMistakes are pods that the namespace does not allow, or that cannot be.
func podMistakes() []mistake {
	return []mistake{
		{
			name: "a workload with more rights", overlay: production, of: victim,
			old:         "allowPrivilegeEscalation: false",
			replacement: "allowPrivilegeEscalation: true",
			want:        `warning: would violate PodSecurity "restricted:latest": allowPrivilegeEscalation`,
		},
		{
			name: "a pod with more rights", overlay: production, of: victim, pod: true,
			old:         "allowPrivilegeEscalation: false",
			replacement: "allowPrivilegeEscalation: true",
			want:        `is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation`,
		},
		{
			name: "a pod of a trial that may be root", overlay: "dev", of: "StatefulSet postgres", pod: true,
			old:         "runAsNonRoot: true",
			replacement: "runAsNonRoot: false",
			want:        "runAsNonRoot != true",
		},
		{
			name: "a pod of nobody's", overlay: "dev", of: victim, pod: true,
			old:         "serviceAccountName: preceptor-progress",
			replacement: "serviceAccountName: nobody",
			want:        `serviceaccount "nobody" not found`,
		},
		{
			name: "a pod without a volume that it mounts", overlay: "dev", of: "StatefulSet postgres", pod: true,
			old:         "mountPath: /tmp\n          name: tmp",
			replacement: "mountPath: /tmp\n          name: temporary",
			want:        "volumeMounts[2].name: Not found",
		},
	}
}

// broken is the manifest that the mistake is made in.
func (m mistake) broken(all []document) (document, error) {
	i := slices.IndexFunc(all, func(d document) bool { return d.String() == m.of })
	if i < 0 || !bytes.Contains(all[i].text, []byte(m.old)) {
		return document{}, fmt.Errorf("%s: %s has no %s with %q", m.name, m.overlay, m.of, m.old)
	}
	changed, err := documents(bytes.ReplaceAll(all[i].text, []byte(m.old), []byte(m.replacement)))
	if err != nil || len(changed) != 1 {
		return document{}, fmt.Errorf("%s: no manifest is left: %w", m.name, err)
	}
	return changed[0], nil
}

// mistakesFaults makes the mistakes that can be made in the overlays, and finds what was accepted, or
// refused for another reason.
func mistakesFaults(ctx context.Context, api *apiServer, root string, overlays []string) (tried int, found []string, err error) {
	var f faults
	for _, m := range mistakes() {
		if !slices.Contains(overlays, m.overlay) {
			continue
		}
		all, err := renderedDocuments(root, m.overlay)
		if err != nil {
			return 0, nil, err
		}
		d, err := m.broken(all)
		if err != nil {
			return 0, nil, err
		}
		tried++
		a, err := m.ask(ctx, api, d)
		if err != nil {
			return 0, nil, err
		}
		if said := strings.Join(a.faults(), "\n"); !strings.Contains(said, m.want) {
			f.addf("%s: said is %q instead of %q", m.name, said, m.want)
		}
	}
	return tried, f, nil
}

// ask asks for what is wrong, without changing anything should it be accepted.
func (m mistake) ask(ctx context.Context, api *apiServer, d document) (reply, error) {
	if m.pod {
		return admitPod(ctx, api, d)
	}
	return api.apply(ctx, d, true)
}
