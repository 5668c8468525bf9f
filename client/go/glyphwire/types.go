package glyphwire

import (
	"strings"
	"time"

	glyphwirev1 "glyphwire.dev/client/go/glyphwire/v1"
)

// What goes into the client and comes out of it is the contract's own messages under shorter names: whatever field the
// contract gains is there at once. Fields that are pointers may stay nil, which leaves the choice to the server; the
// functions proto.Int32, proto.Float32 and proto.Bool make one. The contract, ocr.proto, has ranges and defaults.
type (
	// RecognizeOptions says how to read an image; nil means every field's default.
	RecognizeOptions = glyphwirev1.RecognizeOptions
	// DecodeOptions says how scores become text.
	DecodeOptions = glyphwirev1.DecodeOptions
	// LanguageOptions says what is known of the text; it belongs to DecodeOptions.
	LanguageOptions = glyphwirev1.LanguageOptions
	// HotWord is a text that is likelier, or less likely, here than elsewhere.
	HotWord = glyphwirev1.HotWord
	// PreprocessOptions says what is done to an image before it is read.
	PreprocessOptions = glyphwirev1.PreprocessOptions
	// Preparation says what is done to the pixels of an image first; it belongs to PreprocessOptions.
	Preparation = glyphwirev1.Preparation
	// AppliedStep is a step of preparation that was done.
	AppliedStep = glyphwirev1.AppliedStep
	// RuleOptions says what is done to text once it was read.
	RuleOptions = glyphwirev1.RuleOptions
	// Extractor is a named regular expression; it belongs to RuleOptions.
	Extractor = glyphwirev1.Extractor
	// RawImage is uncompressed pixels; see Raw.
	RawImage = glyphwirev1.RawImage
	// Image is an image as it travels.
	Image = glyphwirev1.Image

	// StreamConfig says how the frames of a stream are read, and which.
	StreamConfig = glyphwirev1.StreamConfig
	// UnchangedOptions says when a frame counts as unchanged.
	UnchangedOptions = glyphwirev1.UnchangedOptions
	// VotingOptions says how readings of a line are merged over frames.
	VotingOptions = glyphwirev1.VotingOptions
	// StableLine is a line merged from its readings in several frames.
	StableLine = glyphwirev1.StableLine
	// FrameDropped names the frame that took the place of one that was not read.
	FrameDropped = glyphwirev1.FrameDropped

	// DocumentConfig says which pages of a document are read, and how.
	DocumentConfig = glyphwirev1.DocumentConfig

	// Recognition is everything that was read in one image, lines in reading order.
	Recognition = glyphwirev1.Recognition
	// Line is one line of text.
	Line = glyphwirev1.Line
	// Character is one emitted element of a line.
	Character = glyphwirev1.Character
	// CharacterAlternative is another character in the place of one.
	CharacterAlternative = glyphwirev1.CharacterAlternative
	// Alternative is another reading of a line.
	Alternative = glyphwirev1.Alternative
	// Correction is a part of a line that a rule has changed.
	Correction = glyphwirev1.Correction
	// Field is a part of a line that a rule has found.
	Field = glyphwirev1.Field
	// Structure is what the lines of a page form together.
	Structure = glyphwirev1.Structure
	// Paragraph is lines that belong together.
	Paragraph = glyphwirev1.Paragraph
	// KeyValue is a hint that one text names another.
	KeyValue = glyphwirev1.KeyValue
	// Table is a table, ruled or not.
	Table = glyphwirev1.Table
	// Cell is a cell of a table.
	Cell = glyphwirev1.Cell
	// Polygon is the outline of a line, in source pixels.
	Polygon = glyphwirev1.Polygon
	// Point is a place in the source image, in pixels.
	Point = glyphwirev1.Point
	// Timings says where the server's time went, in milliseconds.
	Timings = glyphwirev1.Timings
	// Model is a recogniser that RecognizeOptions.Model can name.
	Model = glyphwirev1.Model
)

// Mode says what an image shows: one line of text, or any number of lines that are found first.
type Mode = glyphwirev1.Mode

// The modes. The default is ModePage.
const (
	ModeLine = glyphwirev1.Mode_MODE_LINE
	ModePage = glyphwirev1.Mode_MODE_PAGE
)

// Decoder says how scores become text: best path is fastest, prefix beam search ranks whole readings.
type Decoder = glyphwirev1.Decoder

// The decoders. The default is DecoderBestPath.
const (
	DecoderBestPath   = glyphwirev1.Decoder_DECODER_BEST_PATH
	DecoderPrefixBeam = glyphwirev1.Decoder_DECODER_PREFIX_BEAM
)

// Priority says how urgent an answer is.
type Priority = glyphwirev1.Priority

// The priorities. The default is PriorityInteractive.
const (
	PriorityInteractive = glyphwirev1.Priority_PRIORITY_INTERACTIVE
	PriorityBulk        = glyphwirev1.Priority_PRIORITY_BULK
)

// Switch says whether a step of preparation is done.
type Switch = glyphwirev1.Switch

// The switches. The default of a step is that of Preparation.Others, whose default is SwitchAuto.
const (
	SwitchAuto = glyphwirev1.Switch_SWITCH_AUTO
	SwitchOn   = glyphwirev1.Switch_SWITCH_ON
	SwitchOff  = glyphwirev1.Switch_SWITCH_OFF
)

// UnicodeForm says how text is normalised.
type UnicodeForm = glyphwirev1.UnicodeForm

// The forms. The default is that of the profile, else UnicodeFormNone.
const (
	UnicodeFormNone = glyphwirev1.UnicodeForm_UNICODE_FORM_NONE
	UnicodeFormNFC  = glyphwirev1.UnicodeForm_UNICODE_FORM_NFC
	UnicodeFormNFKC = glyphwirev1.UnicodeForm_UNICODE_FORM_NFKC
)

// WidthForm says how wide characters are that Unicode has twice.
type WidthForm = glyphwirev1.WidthForm

// The widths. The default is that of the profile, else WidthFormKeep.
const (
	WidthFormKeep             = glyphwirev1.WidthForm_WIDTH_FORM_KEEP
	WidthFormHalf             = glyphwirev1.WidthForm_WIDTH_FORM_HALF
	WidthFormHalfAlphanumeric = glyphwirev1.WidthForm_WIDTH_FORM_HALF_ALPHANUMERIC
	WidthFormFull             = glyphwirev1.WidthForm_WIDTH_FORM_FULL
)

// FieldType says what a part of a line can be.
type FieldType = glyphwirev1.FieldType

// The field types.
const (
	FieldTypeDate       = glyphwirev1.FieldType_FIELD_TYPE_DATE
	FieldTypeAmount     = glyphwirev1.FieldType_FIELD_TYPE_AMOUNT
	FieldTypePhone      = glyphwirev1.FieldType_FIELD_TYPE_PHONE
	FieldTypeResidentID = glyphwirev1.FieldType_FIELD_TYPE_RESIDENT_ID
	FieldTypeCreditCode = glyphwirev1.FieldType_FIELD_TYPE_CREDIT_CODE
	FieldTypeIBAN       = glyphwirev1.FieldType_FIELD_TYPE_IBAN
	FieldTypeBankCard   = glyphwirev1.FieldType_FIELD_TYPE_BANK_CARD
	FieldTypeISBN       = glyphwirev1.FieldType_FIELD_TYPE_ISBN
	FieldTypeEAN        = glyphwirev1.FieldType_FIELD_TYPE_EAN
)

// FramePolicy says which frames of a stream are read: all, or of those that wait the newest alone.
type FramePolicy = glyphwirev1.FramePolicy

// The policies. The default is FramePolicyEvery.
const (
	FramePolicyEvery  = glyphwirev1.FramePolicy_FRAME_POLICY_EVERY
	FramePolicyLatest = glyphwirev1.FramePolicy_FRAME_POLICY_LATEST
)

// TextLayerPolicy says what becomes of the text that a page of a PDF already has.
type TextLayerPolicy = glyphwirev1.TextLayerPolicy

// The policies. The default is TextLayerAuto: it is taken where it is real.
const (
	TextLayerAuto   = glyphwirev1.TextLayerPolicy_TEXT_LAYER_POLICY_AUTO
	TextLayerIgnore = glyphwirev1.TextLayerPolicy_TEXT_LAYER_POLICY_IGNORE
)

// PageSource says where the lines of a page come from.
type PageSource = glyphwirev1.PageSource

// The sources.
const (
	PageSourceTextLayer = glyphwirev1.PageSource_PAGE_SOURCE_TEXT_LAYER
	PageSourceOCR       = glyphwirev1.PageSource_PAGE_SOURCE_OCR
)

// PixelFormat is the layout of one raw pixel, one byte per channel.
type PixelFormat = glyphwirev1.PixelFormat

// The pixel formats.
const (
	PixelFormatGray8  = glyphwirev1.PixelFormat_PIXEL_FORMAT_GRAY8
	PixelFormatRGB24  = glyphwirev1.PixelFormat_PIXEL_FORMAT_RGB24
	PixelFormatBGR24  = glyphwirev1.PixelFormat_PIXEL_FORMAT_BGR24
	PixelFormatRGBA32 = glyphwirev1.PixelFormat_PIXEL_FORMAT_RGBA32
	PixelFormatBGRA32 = glyphwirev1.PixelFormat_PIXEL_FORMAT_BGRA32
)

// Result is what became of one image of a batch. Exactly one field is set.
type Result struct {
	Recognition *Recognition
	// Err is an *OcrError.
	Err error
}

// Frame is one image of a stream. FrameID and CaptureTime, which may be zero, come back with its result.
type Frame struct {
	Image       ImageSource
	FrameID     uint64
	CaptureTime time.Time
}

// FrameResult is what became of one frame: Recognition, Err when this frame could not be read, or Dropped when a newer
// one took its place. UnchangedFrom is the id of the frame from which the result was taken, nil when it is the frame's
// own. StableLines are there with VotingOptions.
type FrameResult struct {
	FrameID     uint64
	CaptureTime time.Time
	Result
	Dropped       *FrameDropped
	UnchangedFrom *uint64
	StableLines   []*StableLine
}

// Text returns the texts of the lines, one per row.
func Text(recognition *Recognition) string {
	lines := recognition.GetLines()
	texts := make([]string, len(lines))
	for i, line := range lines {
		texts[i] = line.GetText()
	}
	return strings.Join(texts, "\n")
}
