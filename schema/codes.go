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
	CodeNoLogin         Code = "JB1325"
	CodeKeyDelivery     Code = "JB1326"

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
	CodeVerify     Code = "JB1502"
	CodeSources    Code = "JB1503"

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
	Text     string // why it is a problem and what to do, a few sentences in one line
	Wrong    string // YAML that has it, cut down to what matters; may be empty
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

// codeTable explains each code: see explanations.go, and the rules' and the
// clouds' beside it.
//
//nolint:gochecknoglobals // a table, never changed
var codeTable = slices.Concat(documentCodes(), ruleCodes(), labelCodes(), cloudCodes())

// NearestCode is the code that somebody most likely meant by a word, or "".
func NearestCode(word string) Code {
	codes := make([]string, 0, len(codeTable))
	for _, e := range codeTable {
		codes = append(codes, string(e.Code))
	}
	return Code(nearest(word, codes))
}
