package schema

import "slices"

// Code names one sort of problem for good: a code is never used for something
// else, and one that is no longer told is not given away. JB1xxx are of the
// documents alone, JB2xxx of documents and a cloud together.
type Code string

// Severity is what a problem means for those who would act on the fleet.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // nothing of the commit may be acted on
	Warning Severity = "warning" // acted on, but hardly what was meant
	Note    Severity = "note"    // could not be found out
)

// The codes, in the order of codeTable.
const (
	CodeSyntax       Code = "JB1001"
	CodeNotRegular   Code = "JB1002"
	CodeTooLarge     Code = "JB1003"
	CodeTooDeep      Code = "JB1004"
	CodeAlias        Code = "JB1005"
	CodeTab          Code = "JB1006"
	CodeDuplicateKey Code = "JB1007"
	CodeKeyNotText   Code = "JB1008"
	CodeMergeKey     Code = "JB1009"
	CodeTag          Code = "JB1010"

	CodeForeign      Code = "JB1101"
	CodeKind         Code = "JB1102"
	CodeUnknownField Code = "JB1103"
	CodeMissingField Code = "JB1104"
	CodeType         Code = "JB1105"
	CodeNotAllowed   Code = "JB1106"
	CodeForm         Code = "JB1107"
	CodeRange        Code = "JB1108"
	CodeListSize     Code = "JB1109"
	CodeOldWord      Code = "JB1110"
	CodeDuplicate    Code = "JB1111"

	CodeNoTemplate    Code = "JB1201"
	CodePreviousNames Code = "JB1202"

	CodeEvenMasters     Code = "JB1301"
	CodeMastersNeedLB   Code = "JB1302"
	CodeDriver          Code = "JB1303"
	CodeNoFlavor        Code = "JB1304"
	CodeNoKey           Code = "JB1305"
	CodeNoNetwork       Code = "JB1306"
	CodeNoSubnet        Code = "JB1307"
	CodeNoMasters       Code = "JB1308"
	CodeNodeCount       Code = "JB1309"
	CodeGroup           Code = "JB1310"
	CodeNodeLabel       Code = "JB1311"
	CodeVolumeSize      Code = "JB1312"
	CodeAddress         Code = "JB1313"
	CodePublicKey       Code = "JB1314"
	CodeProxy           Code = "JB1315"
	CodeOverlap         Code = "JB1316"
	CodeCron            Code = "JB1317"
	CodeTimeZone        Code = "JB1318"
	CodeDuration        Code = "JB1319"
	CodeRegistry        Code = "JB1320"
	CodeInsecure        Code = "JB1321"
	CodeIdle            Code = "JB1322"
	CodeClusterType     Code = "JB1323"
	CodeSecretReference Code = "JB1324"

	CodeUnknownLabel  Code = "JB1401"
	CodeLabelValue    Code = "JB1402"
	CodeLabelIgnored  Code = "JB1403"
	CodeLabelsClash   Code = "JB1404"
	CodeLabelsDoubt   Code = "JB1405"
	CodeKubeVersion   Code = "JB1406"
	CodeLabelSecret   Code = "JB1407"
	CodeLabelNumber   Code = "JB1408"
	CodeLabelObsolete Code = "JB1409"

	CodeRepository Code = "JB1501"

	CodeNotInCloud   Code = "JB2001"
	CodeUnseen       Code = "JB2002"
	CodeNoSuchType   Code = "JB2003"
	CodeUnsupported  Code = "JB2004"
	CodeCloudLimit   Code = "JB2005"
	CodeQuota        Code = "JB2006"
	CodeFlavor       Code = "JB2007"
	CodeNetwork      Code = "JB2008"
	CodeNoService    Code = "JB2009"
	CodeCredential   Code = "JB2010"
	CodeNameConflict Code = "JB2011"
)

// Explanation is what there is to know of a code.
type Explanation struct {
	Code     Code
	Severity Severity
	Title    string // a few words, as SARIF's and GitLab's rule names
	Text     string // why it is a problem and what to do, a few sentences
	Wrong    string // YAML that has it; may be empty
	Right    string // the same without it
}

// Severity of a code; Error for one that is not in the table.
func (c Code) Severity() Severity {
	if e, ok := Explain(c); ok {
		return e.Severity
	}
	return Error
}

// Explain looks a code up.
func Explain(c Code) (Explanation, bool) {
	i := slices.IndexFunc(codeTable, func(e Explanation) bool { return e.Code == c })
	if i < 0 {
		return Explanation{}, false
	}
	return codeTable[i], true
}

// Explanations are all codes, sorted.
func Explanations() []Explanation { return slices.Clone(codeTable) }

// codeTable explains each code.
//
//nolint:gochecknoglobals // a table, never changed
var codeTable = []Explanation{
	{Code: CodeSyntax, Severity: Error, Title: "Not valid YAML"},
	{Code: CodeNotRegular, Severity: Error, Title: "Not a regular file"},
	{Code: CodeTooLarge, Severity: Error, Title: "File too large"},
	{Code: CodeTooDeep, Severity: Error, Title: "Document too large or too deep"},
	{Code: CodeAlias, Severity: Error, Title: "Broken alias"},
	{Code: CodeTab, Severity: Error, Title: "Tab in the indentation"},
	{Code: CodeDuplicateKey, Severity: Error, Title: "Key used twice"},
	{Code: CodeKeyNotText, Severity: Error, Title: "Key is not text"},
	{Code: CodeMergeKey, Severity: Error, Title: "Wrong merge key"},
	{Code: CodeTag, Severity: Error, Title: "YAML tag"},
	{Code: CodeForeign, Severity: Error, Title: "Not a document of Jeroboam"},
	{Code: CodeKind, Severity: Error, Title: "Unknown kind"},
	{Code: CodeUnknownField, Severity: Error, Title: "Unknown field"},
	{Code: CodeMissingField, Severity: Error, Title: "Missing field"},
	{Code: CodeType, Severity: Error, Title: "Wrong type"},
	{Code: CodeNotAllowed, Severity: Error, Title: "Value not allowed"},
	{Code: CodeForm, Severity: Error, Title: "Text in the wrong form"},
	{Code: CodeRange, Severity: Error, Title: "Value out of bounds"},
	{Code: CodeListSize, Severity: Error, Title: "List out of bounds"},
	{Code: CodeOldWord, Severity: Error, Title: "Old name of Magnum"},
	{Code: CodeDuplicate, Severity: Error, Title: "Declared twice"},
	{Code: CodeNoTemplate, Severity: Error, Title: "No such ClusterTemplate"},
	{Code: CodePreviousNames, Severity: Error, Title: "Previous name in use"},
	{Code: CodeEvenMasters, Severity: Error, Title: "Even number of masters"},
	{Code: CodeMastersNeedLB, Severity: Error, Title: "Masters without load balancer"},
	{Code: CodeDriver, Severity: Error, Title: "Driver does not fit the engine"},
	{Code: CodeNoFlavor, Severity: Error, Title: "No flavor"},
	{Code: CodeNoKey, Severity: Error, Title: "No way to log in"},
	{Code: CodeNoNetwork, Severity: Error, Title: "No external network"},
	{Code: CodeNoSubnet, Severity: Error, Title: "Network and subnet do not go together"},
	{Code: CodeNoMasters, Severity: Error, Title: "Engine without masters"},
	{Code: CodeNodeCount, Severity: Error, Title: "Node count out of bounds"},
	{Code: CodeGroup, Severity: Error, Title: "Wrong node group"},
	{Code: CodeNodeLabel, Severity: Error, Title: "Refused node label or taint"},
	{Code: CodeVolumeSize, Severity: Error, Title: "Volume too small"},
	{Code: CodeAddress, Severity: Error, Title: "Wrong address"},
	{Code: CodePublicKey, Severity: Error, Title: "Wrong SSH public key"},
	{Code: CodeProxy, Severity: Error, Title: "Wrong proxy"},
	{Code: CodeOverlap, Severity: Error, Title: "Networks overlap"},
	{Code: CodeCron, Severity: Error, Title: "Wrong cron expression"},
	{Code: CodeTimeZone, Severity: Error, Title: "Unknown time zone"},
	{Code: CodeDuration, Severity: Error, Title: "Wrong duration"},
	{Code: CodeRegistry, Severity: Error, Title: "Wrong registry"},
	{Code: CodeInsecure, Severity: Warning, Title: "Not secure"},
	{Code: CodeIdle, Severity: Warning, Title: "Field without effect"},
	{Code: CodeClusterType, Severity: Error, Title: "Wrong cluster type"},
	{Code: CodeSecretReference, Severity: Error, Title: "Wrong secret reference"},
	{Code: CodeUnknownLabel, Severity: Error, Title: "Unknown label"},
	{Code: CodeLabelValue, Severity: Error, Title: "Wrong value of a label"},
	{Code: CodeLabelIgnored, Severity: Warning, Title: "Label without effect"},
	{Code: CodeLabelsClash, Severity: Error, Title: "Labels that exclude each other"},
	{Code: CodeLabelsDoubt, Severity: Warning, Title: "Labels that hardly work together"},
	{Code: CodeKubeVersion, Severity: Error, Title: "Kubernetes version"},
	{Code: CodeLabelSecret, Severity: Warning, Title: "Secret in Git"},
	{Code: CodeLabelNumber, Severity: Error, Title: "Number instead of text"},
	{Code: CodeLabelObsolete, Severity: Warning, Title: "Obsolete label"},
	{Code: CodeRepository, Severity: Error, Title: "Wrong repository"},
	{Code: CodeNotInCloud, Severity: Error, Title: "Not in the cloud"},
	{Code: CodeUnseen, Severity: Note, Title: "Could not be checked"},
	{Code: CodeNoSuchType, Severity: Error, Title: "No such cluster type"},
	{Code: CodeUnsupported, Severity: Error, Title: "Not supported by the cluster type"},
	{Code: CodeCloudLimit, Severity: Error, Title: "Beyond a limit of the cloud"},
	{Code: CodeQuota, Severity: Error, Title: "Quota too small"},
	{Code: CodeFlavor, Severity: Error, Title: "Flavor too small"},
	{Code: CodeNetwork, Severity: Error, Title: "Network does not fit"},
	{Code: CodeNoService, Severity: Error, Title: "Service missing in the cloud"},
	{Code: CodeCredential, Severity: Error, Title: "Credential cannot do it"},
	{Code: CodeNameConflict, Severity: Error, Title: "Names collide"},
}
