package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Members are what the API server says of each member of etcd it knows, by the name
// that the API has for it ("etcd-0"), empty if it is well. It asks them for their
// health, which a member without a leader does not have (Kubernetes, component
// statuses; deprecated since 1.19 and still the one question that names members).
func (c *Cluster) Members(ctx context.Context) (map[string]string, error) {
	ctx = quietly(ctx)
	body, err := c.get(ctx, "/api/v1/componentstatuses")
	if err != nil {
		return nil, c.why(err)
	}
	var list corev1.ComponentStatusList
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("the API does not speak of components: %w", err)
	}
	if list.Items == nil {
		return nil, errors.New("the API does not speak of components")
	}
	members := map[string]string{}
	for _, item := range list.Items {
		said := "it does not say whether it is healthy"
		for _, is := range item.Conditions {
			if is.Type == corev1.ComponentHealthy {
				if said = ""; is.Status != corev1.ConditionTrue {
					said = clip(strings.TrimSpace(is.Message + " " + is.Error))
				}
			}
		}
		members[item.Name] = said
	}
	return members, nil
}
