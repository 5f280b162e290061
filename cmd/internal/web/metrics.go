package web

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/reconcile/daemon"
	"jeroboam.io/jeroboam/schema"
)

// Metrics counts what a daemon does. What is true of a fleet at a time (held,
// ready, unknown) is a gauge of the last run. Names of clusters and clouds are the
// only labels that grow with the fleet; what others send (codes, guards' reasons)
// is none, or one of a few words.
type Metrics struct {
	instance    string
	registry    *prometheus.Registry
	runs        *prometheus.CounterVec
	runTime     prometheus.Observer
	phaseTime   *prometheus.HistogramVec
	fetches     *prometheus.CounterVec
	fetchTime   prometheus.Observer
	steps       *prometheus.CounterVec
	calls       *prometheus.CounterVec
	callTime    *prometheus.HistogramVec
	requests    *prometheus.CounterVec
	requestTime *prometheus.HistogramVec
	boardFails  prometheus.Counter

	mu   sync.Mutex
	last seen
}

// seen is what gauges show of the last run: not the report, which holds the fleet.
type seen struct {
	inSync   int
	held     map[string]int // by guard
	statuses map[string]int
	unknown  []schema.CloudName
	clusters []seenCluster
}

type seenCluster struct {
	key     schema.Key
	ready   float64
	created time.Time
}

// seconds are the buckets of what may take from milliseconds to minutes.
func seconds() []float64 { return prometheus.ExponentialBuckets(0.005, 3, 10) }

// instanceLabel says whose a metric is. Prometheus' own instance is an address.
const instanceLabel = "instance_name"

// NewMetrics makes the metrics of one instance.
func NewMetrics(instance string) *Metrics {
	own := prometheus.Labels{instanceLabel: instance}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "jeroboam", Name: name, Help: help, ConstLabels: own}, labels)
	}
	times := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "jeroboam", Name: name, Help: help, Buckets: seconds(), ConstLabels: own,
		}, labels)
	}
	runTime, fetchTime := times("run_seconds", "How long runs took."), times("git_fetch_seconds", "How long looks at the branch took.")
	boardFails := counter("status_commit_failures_total", "Runs whose status could not be written; the next run tries again.")
	m := &Metrics{
		instance:    instance,
		registry:    prometheus.NewRegistry(),
		runs:        counter("runs_total", "Runs by result: ok, or failed when nothing was decided.", "result"),
		phaseTime:   times("run_phase_seconds", "How long the parts of runs took.", "phase"),
		fetches:     counter("git_fetches_total", "Looks at the branch by result: ok, or the kind of the error.", "result"),
		steps:       counter("steps_total", "Steps that were begun, by result: accepted, or the kind of the error.", "step", "result"),
		calls:       counter("cloud_calls_total", "Questions to clouds and steps, by result: ok, or the kind of the error.", "cloud", "call", "result"),
		callTime:    times("cloud_call_seconds", "How long clouds took to answer questions and take steps.", "cloud", "call"),
		requests:    counter("openstack_requests_total", "Requests to the services of clouds, by the HTTP code of the answer: none if there was none.", "cloud", "service", "code"),
		requestTime: times("openstack_request_seconds", "How long services of clouds took to answer a request.", "service"),
		runTime:     runTime.WithLabelValues(),
		fetchTime:   fetchTime.WithLabelValues(),
		boardFails:  boardFails.WithLabelValues(),
	}
	m.registry.MustRegister(m.runs, runTime, m.phaseTime, m.fetches, fetchTime, m.steps, m.calls, m.callTime,
		m.requests, m.requestTime, boardFails)
	return m
}

// metricsHandler serves the metrics of all members, and those of the process.
func metricsHandler(members []Member) http.Handler {
	process := prometheus.NewRegistry()
	process.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	all := prometheus.Gatherers{process}
	for _, m := range members {
		if m.Metrics == nil || m.Instance == nil {
			continue
		}
		now := prometheus.NewRegistry()
		now.MustRegister(&fleet{m.Metrics, m.Instance.State})
		all = append(all, m.Metrics.registry, now)
	}
	return promhttp.HandlerFor(all, promhttp.HandlerOpts{})
}

// result is the word for an error: its kind.
func result(fine string, err error) string {
	if err == nil {
		return fine
	}
	return string(drivers.KindOf(err))
}

// Fetched is a daemon's OnFetch.
func (m *Metrics) Fetched(_ string, took time.Duration, err error) {
	m.fetches.WithLabelValues(result("ok", err)).Inc()
	m.fetchTime.Observe(took.Seconds())
}

// Ran is a daemon's OnRun.
func (m *Metrics) Ran(report reconcile.Report, took time.Duration, err error) {
	m.runTime.Observe(took.Seconds())
	for _, p := range report.Phases {
		m.phaseTime.WithLabelValues(p.Name).Observe(p.Took.Seconds())
	}
	if err != nil {
		m.runs.WithLabelValues("failed").Inc()
		return
	}
	m.runs.WithLabelValues("ok").Inc()
	for _, x := range report.Results {
		m.steps.WithLabelValues(string(x.Step.Op), result("accepted", x.Err)).Inc()
	}
	if report.StatusError != nil {
		m.boardFails.Inc()
	}
	last := seenIn(report)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = last
}

func seenIn(report reconcile.Report) seen {
	s := seen{inSync: report.Plan.InSync, held: map[string]int{}, statuses: map[string]int{}}
	for _, step := range report.Plan.HeldSteps() {
		s.held[step.Held.Guard]++
	}
	for _, u := range report.Plan.Unknown {
		s.unknown = append(s.unknown, u.Cloud)
	}
	for _, r := range report.Records {
		s.statuses[r.Status]++
		created, err := time.Parse(time.RFC3339, r.CreatedAt)
		if err != nil {
			created = time.Time{} // the backend has not said
		}
		// The names are cloned: they must not keep what they were cut from.
		key := schema.Key{Cloud: schema.CloudName(strings.Clone(string(r.Cloud))), Name: schema.ClusterName(strings.Clone(r.Name))}
		s.clusters = append(s.clusters, seenCluster{key, ready(r), created})
	}
	return s
}

// Asked is a daemon's OnAsk.
func (m *Metrics) Asked(cloud schema.CloudName, call string, took time.Duration, err error) {
	call, _, _ = strings.Cut(call, " of ") // "forget keys of lab/web": not a series for each cluster
	m.calls.WithLabelValues(string(cloud), call, result("ok", err)).Inc()
	m.callTime.WithLabelValues(string(cloud), call).Observe(took.Seconds())
}

// Called implements drivers.CallWatcher.
func (m *Metrics) Called(c drivers.Call) {
	m.requests.WithLabelValues(string(c.Cloud), cmp.Or(c.Service, "other"), code(c.Status)).Inc()
	m.requestTime.WithLabelValues(cmp.Or(c.Service, "other")).Observe(c.Took.Seconds())
}

var _ drivers.CallWatcher = (*Metrics)(nil)

// code is the label of a status: one that HTTP does not know is none of its own,
// or a broken proxy could make a thousand series.
func code(status int) string {
	switch {
	case status == 0:
		return "none"
	case http.StatusText(status) == "":
		return "other"
	}
	return strconv.Itoa(status)
}

// fleet collects what is true now.
type fleet struct {
	m     *Metrics
	state func() daemon.State
}

// Describe implements prometheus.Collector. Saying nothing makes it an unchecked
// one: which clusters there are is not known beforehand.
func (f *fleet) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (f *fleet) Collect(out chan<- prometheus.Metric) {
	gauge := func(name, help string, v float64, labels ...string) {
		names, values := []string{instanceLabel}, []string{f.m.instance}
		for i := 0; i+1 < len(labels); i += 2 {
			names, values = append(names, labels[i]), append(values, labels[i+1])
		}
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc("jeroboam_"+name, help, names, nil), prometheus.GaugeValue, v, values...)
	}
	f.m.mu.Lock()
	last := f.m.last
	f.m.mu.Unlock()
	s := f.state()
	gauge("requests_waiting", "Requests for a sync that are not done yet.", float64(s.Waiting))
	gauge("run_under_way", "1 while a run is under way.", yes(!s.Since.IsZero()))
	gauge("run_last_timestamp_seconds", "When the last run ended.", stamp(s.RanAt))
	gauge("run_next_timestamp_seconds", "When the next run or look at the branch is due, at the latest.", stamp(s.Next))
	gauge("git_fetch_last_timestamp_seconds", "When the branch was last read.", stamp(s.FetchedAt))
	gauge("git_readable", "1 if the last look at the branch read it.", yes(s.FetchErr == "" && !s.FetchedAt.IsZero()))
	gauge("clusters_in_sync", "Clusters that are as the repository says.", float64(last.inSync))
	for _, status := range slices.Sorted(maps.Keys(last.statuses)) {
		gauge("clusters", "Clusters by status, in Magnum's words.", float64(last.statuses[status]), "status", status)
	}
	for guard, n := range last.held {
		gauge("steps_held", "Steps that a guard holds.", float64(n), "guard", guard)
	}
	for _, cloud := range last.unknown {
		gauge("cloud_unknown", "1 for a cloud that could not be read.", 1, "cloud", string(cloud))
	}
	for _, c := range last.clusters {
		cloud, name := string(c.key.Cloud), string(c.key.Name)
		gauge("cluster_ready", "1 for a cluster whose last step is complete and of which nothing is broken.", c.ready, "cloud", cloud, "cluster", name)
		if !c.created.IsZero() {
			gauge("cluster_created_timestamp_seconds", "When the cluster was made.", stamp(c.created), "cloud", cloud, "cluster", name)
		}
	}
}

func yes(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func ready(r reconcile.Record) float64 {
	return yes(strings.HasSuffix(r.Status, "_COMPLETE") && len(r.Faults) == 0 && r.HealthStatus != string(drivers.Unhealthy))
}

// stamp is Unix time; 0 for what never was.
func stamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}
