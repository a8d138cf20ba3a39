package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// render is what `kubectl kustomize` prints.
func render(folder string) ([]byte, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", folder, err)
	}
	return resources.AsYaml()
}

// cluster is what a rendering would make of a cluster, as far as the rules look at it.
type cluster struct{ manifests []manifest }

// manifest is the part of any kind that a rule asks about; the schemas know the rest.
type manifest struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name        string            `json:"name"`
		Namespace   string            `json:"namespace"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Data       map[string]string `json:"data"`
	StringData map[string]string `json:"stringData"`
	Spec       struct {
		// Of Deployments, StatefulSets and Jobs; those of CronJobs are put here.
		Template    *podTemplate `json:"template"`
		JobTemplate struct {
			Spec struct {
				Template *podTemplate `json:"template"`
			} `json:"spec"`
		} `json:"jobTemplate"`
		Strategy struct {
			RollingUpdate struct {
				MaxUnavailable any `json:"maxUnavailable"`
				MaxSurge       any `json:"maxSurge"`
			} `json:"rollingUpdate"`
		} `json:"strategy"`
		// Of Services this is a map, of the others a selector of labels.
		Selector  map[string]any `json:"selector"`
		ClusterIP string         `json:"clusterIP"`
		Ports     []servicePort  `json:"ports"`
		// Of Deployments.
		Replicas        int `json:"replicas"`
		MinReadySeconds int `json:"minReadySeconds"`
		// Of PodDisruptionBudgets.
		MaxUnavailable             any    `json:"maxUnavailable"`
		UnhealthyPodEvictionPolicy string `json:"unhealthyPodEvictionPolicy"`
		// Of HorizontalPodAutoscalers.
		ScaleTargetRef struct {
			Kind string `json:"kind"`
			Name string `json:"name"`
		} `json:"scaleTargetRef"`
		MaxReplicas int `json:"maxReplicas"`
		// Of the clusters and the scheduled backups of CloudNativePG.
		Instances  int    `json:"instances"`
		ImageName  string `json:"imageName"`
		Postgresql struct {
			Synchronous struct {
				Method         string `json:"method"`
				Number         int    `json:"number"`
				DataDurability string `json:"dataDurability"`
				FailoverQuorum bool   `json:"failoverQuorum"`
			} `json:"synchronous"`
			Parameters map[string]string `json:"parameters"`
			PgHBA      []string          `json:"pg_hba"`
		} `json:"postgresql"`
		Plugins []struct {
			Name          string            `json:"name"`
			IsWALArchiver bool              `json:"isWALArchiver"`
			Parameters    map[string]string `json:"parameters"`
		} `json:"plugins"`
		Cluster             named  `json:"cluster"`
		Method              string `json:"method"`
		PluginConfiguration named  `json:"pluginConfiguration"`
		// Of PodMonitors.
		PodMetricsEndpoints []struct {
			Port string `json:"port"`
		} `json:"podMetricsEndpoints"`
		// Of NetworkPolicies.
		PodSelector selector     `json:"podSelector"`
		PolicyTypes []string     `json:"policyTypes"`
		Ingress     []policyRule `json:"ingress"`
		Egress      []policyRule `json:"egress"`
		// Of Certificates.
		SecretName string   `json:"secretName"`
		DNSNames   []string `json:"dnsNames"`
	} `json:"spec"`
}

type podTemplate struct {
	Metadata struct {
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec pod `json:"spec"`
}

// manifestOf reads a manifest.
func manifestOf(text []byte) (manifest, error) {
	var m manifest
	err := yaml.Unmarshal(text, &m)
	if each := m.Spec.JobTemplate.Spec.Template; each != nil {
		m.Spec.Template = each
	}
	return m, err
}

type servicePort struct {
	Name       string `json:"name"`
	Port       int    `json:"port"`
	TargetPort any    `json:"targetPort"`
}

type pod struct {
	ServiceAccountName            string      `json:"serviceAccountName"`
	PriorityClassName             string      `json:"priorityClassName"`
	AutomountServiceAccountToken  *bool       `json:"automountServiceAccountToken"`
	EnableServiceLinks            *bool       `json:"enableServiceLinks"`
	TerminationGracePeriodSeconds int         `json:"terminationGracePeriodSeconds"`
	TopologySpreadConstraints     []spread    `json:"topologySpreadConstraints"`
	SecurityContext               podSecurity `json:"securityContext"`
	InitContainers                []container `json:"initContainers"`
	Containers                    []container `json:"containers"`
	Volumes                       []volume    `json:"volumes"`
}

type spread struct {
	TopologyKey       string `json:"topologyKey"`
	WhenUnsatisfiable string `json:"whenUnsatisfiable"`
}

type podSecurity struct {
	RunAsNonRoot   bool `json:"runAsNonRoot"`
	RunAsUser      int  `json:"runAsUser"`
	SeccompProfile struct {
		Type string `json:"type"`
	} `json:"seccompProfile"`
}

type container struct {
	Name    string   `json:"name"`
	Image   string   `json:"image"`
	Command []string `json:"command"`
	Args    []string `json:"args"`
	Env     []struct {
		Name      string `json:"name"`
		Value     string `json:"value"`
		ValueFrom *struct {
			SecretKeyRef *keyRef `json:"secretKeyRef"`
		} `json:"valueFrom"`
	} `json:"env"`
	EnvFrom []struct {
		ConfigMapRef named `json:"configMapRef"`
		SecretRef    named `json:"secretRef"`
	} `json:"envFrom"`
	Ports []struct {
		Name          string `json:"name"`
		ContainerPort int    `json:"containerPort"`
	} `json:"ports"`
	VolumeMounts []struct {
		Name      string `json:"name"`
		MountPath string `json:"mountPath"`
	} `json:"volumeMounts"`
	StartupProbe   *probe `json:"startupProbe"`
	ReadinessProbe *probe `json:"readinessProbe"`
	LivenessProbe  *probe `json:"livenessProbe"`
	Resources      struct {
		Requests map[string]any `json:"requests"`
		Limits   map[string]any `json:"limits"`
	} `json:"resources"`
	SecurityContext struct {
		AllowPrivilegeEscalation *bool `json:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool  `json:"readOnlyRootFilesystem"`
		Capabilities             struct {
			Drop []string `json:"drop"`
			Add  []string `json:"add"`
		} `json:"capabilities"`
	} `json:"securityContext"`
}

type named struct {
	Name string `json:"name"`
}

type keyRef struct {
	Name string `json:"name"`
	Key  string `json:"key"`
}

type probe struct {
	HTTPGet   *port `json:"httpGet"`
	TCPSocket *port `json:"tcpSocket"`
}

type volume struct {
	Name   string `json:"name"`
	Secret *struct {
		SecretName string `json:"secretName"`
	} `json:"secret"`
	Projected *struct {
		Sources []struct {
			Secret named `json:"secret"`
		} `json:"sources"`
	} `json:"projected"`
	ConfigMap             *named `json:"configMap"`
	PersistentVolumeClaim *struct {
		ClaimName string `json:"claimName"`
	} `json:"persistentVolumeClaim"`
}

// read takes a rendering apart.
func read(text []byte) (*cluster, error) {
	c := &cluster{}
	for part := range bytes.SplitSeq(text, []byte("\n---\n")) {
		m, err := manifestOf(part)
		if err != nil {
			return nil, err
		}
		if m.Kind != "" {
			c.manifests = append(c.manifests, m)
		}
	}
	return c, nil
}

func (m manifest) String() string { return m.Kind + " " + m.Metadata.Name }

// of are the manifests of the kinds.
func (c *cluster) of(kinds ...string) []manifest {
	var found []manifest
	for _, m := range c.manifests {
		if slices.Contains(kinds, m.Kind) {
			found = append(found, m)
		}
	}
	return found
}

// has reports whether there is something of the kind and the name.
func (c *cluster) has(kind, name string) bool {
	return slices.ContainsFunc(c.of(kind), func(m manifest) bool { return m.Metadata.Name == name })
}

// workloads are the manifests that make pods.
func (c *cluster) workloads() []manifest {
	var found []manifest
	for _, m := range c.manifests {
		if m.Spec.Template != nil {
			found = append(found, m)
		}
	}
	return found
}

func (m manifest) pod() pod { return m.Spec.Template.Spec }

// labels are those of the pods.
func (m manifest) labels() map[string]string { return m.Spec.Template.Metadata.Labels }

// component is which part of Preceptor the pods are; another program's go by its name.
func (m manifest) component() string {
	if name := m.labels()["app.kubernetes.io/component"]; name != "" {
		return name
	}
	return m.labels()["app.kubernetes.io/name"]
}

func (p pod) containers() []container { return slices.Concat(p.InitContainers, p.Containers) }

// ours reports whether the container runs Preceptor.
func (c container) ours() bool {
	name, _, _ := strings.Cut(c.Image, "@")
	name = name[strings.LastIndex(name, "/")+1:]
	name, _, _ = strings.Cut(name, ":")
	return name == "preceptor"
}

// variables are those that the container gets, with "" for what is in a Secret.
func (c *cluster) variables(of container) map[string]string {
	found := map[string]string{}
	for _, from := range of.EnvFrom {
		for _, m := range c.of("ConfigMap") {
			if m.Metadata.Name == from.ConfigMapRef.Name {
				maps.Copy(found, m.Data)
			}
		}
	}
	for _, e := range of.Env {
		found[e.Name] = e.Value
	}
	return found
}

// processes are the runs of Preceptor.
func (c *cluster) processes() []process {
	var found []process
	for _, m := range c.workloads() {
		for _, each := range m.pod().containers() {
			if each.ours() {
				found = append(found, process{name: m.String(), args: each.Args, env: c.variables(each)})
			}
		}
	}
	return found
}

type port struct {
	Port any `json:"port"`
}
