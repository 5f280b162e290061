package schema

// What there is to know of the codes. A snippet is as short as it can be: where
// it has no apiVersion, that, a name and the fields that every document of its
// kind has are left out. The tests add them and load every snippet.

// documentCodes are those of documents that cannot be read, or do not fit the
// JSON Schema of their kind, or name what is not there.
func documentCodes() []Explanation {
	return []Explanation{
		{
			Code: CodeSyntax, Severity: Error, Title: "Not valid YAML",
			Text: "The YAML library cannot make out the document, so nothing in it, or after it in the file, was looked at. " +
				"Look for a bracket or quote that is not closed, for a colon without a space behind it, and for lines that are indented " +
				"differently from their neighbours. The place is where the library gave up: the slip may be some lines above.",
			Wrong: `kind: Cluster
metadata: {name: prod
`,
			Right: `kind: Cluster
metadata: {name: prod}
`,
		},
		{
			Code: CodeNotRegular, Severity: Error, Title: "Not a regular file",
			Text: "A symbolic link, a pipe or a device is named like a YAML file. It is not followed, because it could lead out of the " +
				"repository and bring files of the machine into a plan. Put the file itself there, or give the link another name.",
		},
		{
			Code: CodeTooLarge, Severity: Error, Title: "File too large",
			Text: "Files of more than 1 MiB are not read: a document has a few kilobytes, and what is larger was hardly written for the fleet. " +
				"Split the file, or keep it out of the fleet's folder.",
		},
		{
			Code: CodeTooDeep, Severity: Error, Title: "Document too large or too deep",
			Text: "The document has more than 20,000 values or more than 32 levels, aliases counted as often as they are used. " +
				"A few aliases of aliases can stand for millions of values, which is why they are counted expanded. Write it out with fewer aliases, or as several documents.",
		},
		{
			Code: CodeAlias, Severity: Error, Title: "Broken alias",
			Text: "An alias (*name) has no anchor (&name) before it, or it stands inside what it refers to. Anchors hold to the end of " +
				"their document: the next one after --- and other files do not know them.",
			Wrong: `kind: Cluster
spec:
  template: *standard
`,
			Right: `kind: Cluster
metadata:
  name: prod
  annotations: {standard: &standard k8s}
spec:
  template: *standard
`,
		},
		{
			Code: CodeTab, Severity: Error, Title: "Tab in the indentation",
			Text:  "YAML is indented with spaces only, because tabs are not equally wide everywhere. Replace the tab, and let your editor write spaces in YAML files.",
			Wrong: "kind: Cluster\nspec:\n\tnodeCount: 3\n",
			Right: "kind: Cluster\nspec:\n  nodeCount: 3\n",
		},
		{
			Code: CodeDuplicateKey, Severity: Error, Title: "Key used twice",
			Text: "A key stands twice in one mapping. YAML forbids it, and programs that take it anyway differ in which of the two counts, " +
				"so reviewers would approve one value and get the other. Keep one.",
			Wrong: `kind: Cluster
spec:
  nodeCount: 1
  nodeCount: 2
`,
			Right: `kind: Cluster
spec:
  nodeCount: 2
`,
		},
		{
			Code: CodeKeyNotText, Severity: Error, Title: "Key is not text",
			Text: "YAML lets a list, a mapping or nothing be a key; these documents, as those of Kubernetes, have text for keys. " +
				"Often a { or [ that was meant as a value, or a key that a template left empty.",
			Wrong: `kind: Cluster
metadata:
  name: prod
  annotations: {[a, b]: team}
`,
			Right: `kind: Cluster
metadata:
  name: prod
  annotations: {a: team, b: team}
`,
		},
		{
			Code: CodeMergeKey, Severity: Error, Title: "Wrong merge key",
			Text: "The merge key (<<) brings the pairs of another mapping into this one, so it takes an alias of a mapping, or a list of such. Keys " +
				"that the mapping has itself win.",
			Wrong: `kind: Cluster
spec:
  nodeGroups:
  - &small {name: a, flavor: m1.small}
  - {<<: small, name: b}
`,
			Right: `kind: Cluster
spec:
  nodeGroups:
  - &small {name: a, flavor: m1.small}
  - {<<: *small, name: b}
`,
		},
		{
			Code: CodeTag, Severity: Error, Title: "YAML tag",
			Text: "A tag (!name) changes what a value is, or asks the program that reads it to do something, such as to include a file. " +
				"Here a value is what it looks like. Remove the tag; text that looks like a number goes in quotes.",
			Wrong: `kind: Cluster
spec:
  template: !include k8s.yaml
`,
			Right: `kind: Cluster
spec:
  template: k8s
`,
		},
		{
			Code: CodeForeign, Severity: Error, Title: "Not a document of Jeroboam",
			Text: "Every YAML document in the fleet's folder has to be one of jeroboam.io/v1alpha1: a document that was skipped silently because of a slip in " +
				"apiVersion would look like a deleted cluster. Keep other YAML outside of the folder that repository.path (or the argument) names, or in a hidden one.",
			Wrong: `apiVersion: v1
kind: ConfigMap
metadata: {name: prod}
`,
			Right: `apiVersion: jeroboam.io/v1alpha1
kind: Cluster
metadata: {name: prod}
spec: {cloud: lab-demo, template: k8s}
`,
		},
		{
			Code: CodeKind, Severity: Error, Title: "Unknown kind",
			Text: "The kinds of documents are ClusterTemplate, Cluster and Config, spelled like this. What Magnum once called bay and baymodel are Cluster and ClusterTemplate.",
			Wrong: `apiVersion: jeroboam.io/v1alpha1
kind: Clusters
metadata: {name: prod}
spec: {cloud: lab-demo, template: k8s}
`,
			Right: `apiVersion: jeroboam.io/v1alpha1
kind: Cluster
metadata: {name: prod}
spec: {cloud: lab-demo, template: k8s}
`,
		},
		{
			Code: CodeUnknownField, Severity: Error, Title: "Unknown field",
			Text: "The field is not in the schema of the document, or not at this place: a slip of the pen, a field of the other kind, or one that is indented wrongly. " +
				"It would have no effect, and nobody would notice. `jeroboam schema Cluster` gives editors the schema, so that they complete fields and mark slips.",
			Wrong: `kind: Cluster
spec:
  nodeCuont: 3
`,
			Right: `kind: Cluster
spec:
  nodeCount: 3
`,
		},
		{
			Code: CodeMissingField, Severity: Error, Title: "Missing field",
			Text: "A field that has no default is not there. The hint says what it is. An empty value is not a value: where it is written and empty, it counts as the wrong type (JB1105).",
			Wrong: `kind: Cluster
spec:
  nodeGroups:
  - flavor: g1.large
`,
			Right: `kind: Cluster
spec:
  nodeGroups:
  - name: gpu
    flavor: g1.large
`,
		},
		{
			Code: CodeType, Severity: Error, Title: "Wrong type",
			Text: "The value is of another type than the field: text, a whole number, true or false, a list, a mapping. YAML decides by looks: 1.30 is a number and loses its zero, " +
				"\"3\" in quotes is text. Only true and false are booleans here; yes, no, on and off are text, as in YAML 1.2.",
			Wrong: `kind: Cluster
spec:
  nodeCount: "3"
`,
			Right: `kind: Cluster
spec:
  nodeCount: 3
`,
		},
		{
			Code: CodeNotAllowed, Severity: Error, Title: "Value not allowed",
			Text: "The field takes one of a few words, which the message lists. They are Magnum's, or Kubernetes' where they go there, and case matters.",
			Wrong: `kind: Cluster
spec:
  nodeGroups:
  - name: gpu
    nodeTaints: [{key: gpu, effect: NoScheduling}]
`,
			Right: `kind: Cluster
spec:
  nodeGroups:
  - name: gpu
    nodeTaints: [{key: gpu, effect: NoSchedule}]
`,
		},
		{
			Code: CodeForm, Severity: Error, Title: "Text in the wrong form",
			Text: "The text does not have the form of what it stands for: a name, a URL, a label. Names follow Magnum's rule, a letter and then letters, digits, '_', '.' and '-', " +
				"because they become names of stacks and servers; keys and values of node labels follow Kubernetes'.",
			Wrong: `kind: Cluster
metadata: {name: prod cluster}
`,
			Right: `kind: Cluster
metadata: {name: prod-cluster}
`,
		},
		{
			Code: CodeRange, Severity: Error, Title: "Value out of bounds",
			Text: "A number is smaller or larger than can be right, or a text is empty or too long. The bounds are those of Magnum's API where it has some, else wide ones that catch slips, " +
				"such as a size in MiB where GiB are meant.",
			Wrong: `kind: Cluster
spec:
  createTimeout: 20000
`,
			Right: `kind: Cluster
spec:
  createTimeout: 120
`,
		},
		{
			Code: CodeListSize, Severity: Error, Title: "List out of bounds",
			Text: "The list has too few or too many entries, or the same one twice. Leave a list out instead of writing an empty one, and keep one of two equal entries.",
			Wrong: `kind: Cluster
spec:
  nodesToRemove: [prod-worker-3, prod-worker-3]
`,
			Right: `kind: Cluster
spec:
  nodesToRemove: [prod-worker-3, prod-worker-4]
`,
		},
		{
			Code: CodeOldWord, Severity: Error, Title: "Old name of Magnum",
			Text: "The word is from Magnum's past, or its spelling in the API: bay and baymodel became cluster and cluster template in Newton and were dropped in 2023.2, and attributes are " +
				"written in camelCase here. Take the name in the hint; the value stays as it was.",
			Wrong: `kind: Cluster
spec:
  node_count: 3
`,
			Right: `kind: Cluster
spec:
  nodeCount: 3
`,
		},
		{
			Code: CodeDuplicate, Severity: Error, Title: "Declared twice",
			Text: "Two documents declare the same template, or a cluster of the same name in the same cloud, or the fleet has two of Config. Which one holds would depend on the order of files. " +
				"A cluster is its cloud and its name, wherever its file lies: a copy needs a name of its own.",
			Wrong: `apiVersion: jeroboam.io/v1alpha1
kind: Cluster
metadata: {name: prod}
spec: {cloud: lab-demo, template: k8s}
---
apiVersion: jeroboam.io/v1alpha1
kind: Cluster
metadata: {name: prod}
spec: {cloud: lab-demo, template: k8s, nodeCount: 3}
`,
			Right: `apiVersion: jeroboam.io/v1alpha1
kind: Cluster
metadata: {name: prod}
spec: {cloud: lab-demo, template: k8s}
---
apiVersion: jeroboam.io/v1alpha1
kind: Cluster
metadata: {name: prod-2}
spec: {cloud: lab-demo, template: k8s, nodeCount: 3}
`,
		},
		{
			Code: CodeNoTemplate, Severity: Error, Title: "No such ClusterTemplate",
			Text: "spec.template names a ClusterTemplate that the fleet does not have. Templates are found by metadata.name, not by file name, and only among the documents of the " +
				"repository: those that live in Magnum do not count.",
			Wrong: `kind: Cluster
spec:
  template: k9s
`,
			Right: `kind: Cluster
spec:
  template: k8s
`,
		},
		{
			Code: CodePreviousNames, Severity: Error, Title: "Previous name in use",
			Text: "previousNames lets a cluster go on under another name. One of them is the present name, or another cluster of that cloud has it now or claims it too: then two documents " +
				"would mean one live cluster. Remove it where it is wrong.",
			Wrong: `kind: Cluster
metadata: {name: prod}
spec:
  previousNames: [prod]
`,
			Right: `kind: Cluster
metadata: {name: prod}
spec:
  previousNames: [production]
`,
		},
	}
}
