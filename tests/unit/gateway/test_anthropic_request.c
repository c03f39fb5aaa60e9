/* SPDX-License-Identifier: Apache-2.0 */
#include "anthropic_text.h"
#include "gateway/anthropic_priv.h"
#include "gateway/anthropic_request.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define USER "{'role':'user','content':'hi'}"
#define CHAT_USER USER

struct row {
    const char *messages;
    const char *chat; /* or a piece of the error's text */
};

/* Messages alone, in front of max_tokens. */
static const struct row conversations[] = {
    {USER, CHAT_USER},
    {"{'role':'user','content':[{'type':'text','text':'a','cache_control':{'type':'ephemeral'}}]}",
     "{'role':'user','content':'a'}"},
    {"{'role':'user','content':[{'type':'text','text':'a'},{'type':'text','text':'b'}]}",
     "{'role':'user','content':'a\\nb'}"},
    {"{'role':'user','content':'a'},{'role':'user','content':[{'type':'text','text':'b'}]}",
     "{'role':'user','content':'a\\nb'}"},
    {"{'role':'user','content':'\\u0000\\ud83d\\ude00'}",
     "{'role':'user','content':'\\u0000\xf0\x9f\x98\x80'}"},
    {"{'role':'user','content':''}", "{'role':'user','content':''}"},
    {"{'role':'user','content':[]}", "{'role':'user','content':''}"},
    {USER ",{'role':'assistant','content':'a'}," USER,
     CHAT_USER ",{'role':'assistant','content':'a'}," CHAT_USER},
    /* an assistant that says nothing: neither an empty message nor two turns of the user */
    {USER ",{'role':'assistant','content':[]}," USER, "{'role':'user','content':'hi\\nhi'}"},
    {USER ",{'role':'assistant','content':''}", CHAT_USER},
    {USER ",{'role':'assistant','content':[{'type':'redacted_thinking','data':'x'},{'type':'text',"
          "'text':''},{'type':'thinking','thinking':'','signature':''}]}," USER
          ",{'role':'assistant','content':'a'}," USER,
     "{'role':'user','content':'hi\\nhi'},{'role':'assistant','content':'a'}," CHAT_USER},
    {"{'role':'assistant','content':''}," USER, CHAT_USER},
    {USER ",{'role':'assistant','content':'a'},{'role':'assistant','content':''}," USER,
     CHAT_USER ",{'role':'assistant','content':'a'}," CHAT_USER},
    {USER ",{'role':'assistant','content':''},{'role':'user','content':[{'type':'tool_result',"
          "'tool_use_id':'t','content':'x'},{'type':'text','text':'b'}]}",
     "{'role':'tool','tool_call_id':'t','content':'x'},{'role':'user','content':'hi\\nb'}"},
    {USER ",{'role':'assistant','content':[{'type':'thinking','thinking':'hm','signature':''}]},"
     USER,
     CHAT_USER ",{'role':'assistant','content':'','reasoning':'hm','reasoning_content':'hm'},"
     CHAT_USER},
    /* images */
    {"{'role':'user','content':[{'type':'image','source':{'type':'base64',"
     "'media_type':'image/svg+xml','data':'QUJD'}},{'type':'text','text':'a'},"
     "{'type':'image','source':{'type':'url','url':'http://x/y.png'}}]}",
     "{'role':'user','content':[{'type':'image_url','image_url':"
     "{'url':'data:image/svg+xml;base64,QUJD'}},{'type':'text','text':'a'},"
     "{'type':'image_url','image_url':{'url':'http://x/y.png'}}]}"},
    /* thinking and calls */
    {USER ",{'role':'assistant','content':[{'type':'thinking','thinking':'hm','signature':'s'},"
          "{'type':'redacted_thinking','data':'xyz'},{'type':'text','text':'a'},"
          "{'type':'tool_use','id':'t1','name':'f','input':{'x':0.1,'y':[1.0,2e300,null,true]}},"
          "{'type':'tool_use','id':'t2','name':'g'}]}," USER,
     CHAT_USER ",{'role':'assistant','content':'a','reasoning':'hm','reasoning_content':'hm',"
               "'tool_calls':[{'id':'t1','type':'function','function':{'name':'f','arguments':"
               "'{\\'x\\':0.1,\\'y\\':[1,2e+300,null,true]}'}},"
               "{'id':'t2','type':'function','function':{'name':'g','arguments':'{}'}}]},"
     CHAT_USER},
    /* results go in front of what else the user says; their images behind */
    {USER ",{'role':'assistant','content':[{'type':'tool_use','id':'t1','name':'f','input':{}}]},"
          "{'role':'user','content':[{'type':'text','text':'so?'},{'type':'tool_result',"
          "'tool_use_id':'t1','content':[{'type':'text','text':'r'},{'type':'image','source':"
          "{'type':'url','url':'u'}}]},{'type':'tool_result','tool_use_id':'t2','content':'x'},"
          "{'type':'tool_result','tool_use_id':'t3'}]}",
     CHAT_USER ",{'role':'assistant','content':'','tool_calls':[{'id':'t1','type':'function',"
               "'function':{'name':'f','arguments':'{}'}}]},"
               "{'role':'tool','tool_call_id':'t1','content':'r\\n[image 1]'},"
               "{'role':'tool','tool_call_id':'t2','content':'x'},"
               "{'role':'tool','tool_call_id':'t3','content':''},"
               "{'role':'user','content':[{'type':'text','text':'[image 1]'},"
               "{'type':'image_url','image_url':{'url':'u'}},{'type':'text','text':'so?'}]}"},
    {"{'role':'user','content':[{'type':'tool_result','tool_use_id':'t','is_error':true,"
     "'content':'no such file'}]}",
     "{'role':'tool','tool_call_id':'t','content':'Error: no such file'}"},
    {"{'role':'user','content':[{'type':'tool_result','tool_use_id':'t','is_error':true,"
     "'content':'Error 5'}]}",
     "{'role':'tool','tool_call_id':'t','content':'Error 5'}"},
    /* texts with a frame */
    {"{'role':'user','content':[{'type':'document','title':'T','context':null,'source':"
     "{'type':'text','media_type':'text/plain','data':'d'}}]}",
     "{'role':'user','content':'<document>\\n<title>T</title>\\nd\\n</document>'}"},
    {"{'role':'user','content':[{'type':'document','context':'C','source':{'type':'content',"
     "'content':[{'type':'text','text':'d'},{'type':'text','text':'e'}]}}]}",
     "{'role':'user','content':'<document>\\n<context>C</context>\\nd\\ne\\n</document>'}"},
    {"{'role':'user','content':[{'type':'search_result','title':'T','source':'S','content':"
     "[{'type':'text','text':'d'}]}]}",
     "{'role':'user','content':'<search_result>\\n<title>T</title>\\n<source>S</source>\\nd\\n"
     "</search_result>'}"},
    {"{'role':'user','content':[{'type':'tool_result','tool_use_id':'t','content':"
     "[{'type':'tool_reference','tool_name':'f'}]}]}",
     "{'role':'tool','tool_call_id':'t','content':'<tool>f</tool>'}"},
    /* the system amid the conversation */
    {"{'role':'system','content':'s'},{'role':'system','content':[{'type':'text','text':'t'}]},"
     USER,
     "{'role':'system','content':'s\\nt'}," CHAT_USER},
    {USER ",{'role':'system','content':'s'}",
     "{'role':'user','content':'hi\\n<system>\\ns\\n</system>'}"},
};

/* Members behind "messages":[USER]. */
static const struct row members[] = {
    {"'max_tokens':5", "'max_tokens':5"},
    {"'max_tokens':5.0", "'max_tokens':5"},
    {"'max_tokens':1,'model':'claude-x','service_tier':'auto','container':null,'mcp_servers':[],"
     "'context_management':{'edits':[]},'cache_control':{'type':'ephemeral'},'n':7,'logprobs':true",
     "'max_tokens':1"},
    {"'max_tokens':1,'temperature':0.7,'top_p':1,'top_k':40,'seed':3,'min_p':0.05",
     "'max_tokens':1,'temperature':0.7,'top_p':1,'top_k':40,'min_p':0.05,'seed':3"},
    {"'max_tokens':1,'temperature':null,'stop_sequences':null,'tools':null,'system':null,"
     "'stream':null,'metadata':null,'thinking':null,'tool_choice':null,'output_config':null",
     "'max_tokens':1"},
    {"'max_tokens':1,'stop_sequences':['a','b']", "'max_tokens':1,'stop':['a','b']"},
    {"'max_tokens':1,'stop_sequences':[]", "'max_tokens':1"},
    {"'max_tokens':1,'metadata':{'user_id':'u'}", "'max_tokens':1,'user':'u'"},
    {"'max_tokens':1,'metadata':{'user_id':null}", "'max_tokens':1"},
    {"'max_tokens':1,'stream':true",
     "'max_tokens':1,'stream':true,'stream_options':{'include_usage':true}"},
    {"'max_tokens':1,'stream':false", "'max_tokens':1"},
    {"'max_tokens':1,'thinking':{'type':'enabled','budget_tokens':1024}",
     "'chat_template_kwargs':{'enable_thinking':true,'thinking':true},'max_tokens':1"},
    {"'max_tokens':1,'thinking':{'type':'adaptive'},'output_config':{'effort':'max'}",
     "'chat_template_kwargs':{'enable_thinking':true,'thinking':true},'reasoning_effort':'high',"
     "'max_tokens':1"},
    {"'max_tokens':1,'thinking':{'type':'disabled'},'chat_template_kwargs':{'thinking':1,'x':[]}",
     "'chat_template_kwargs':{'thinking':1,'x':[],'enable_thinking':false},'max_tokens':1"},
    {"'max_tokens':1,'output_config':{'format':{'type':'json_schema','schema':{'type':'object'}}}",
     "'response_format':{'type':'json_schema','json_schema':{'name':'output','schema':"
     "{'type':'object'},'strict':true}},'max_tokens':1"},
    {"'max_tokens':1,'output_format':{'type':'json_schema','schema':{'type':'array'}}",
     "'response_format':{'type':'json_schema','json_schema':{'name':'output','schema':"
     "{'type':'array'},'strict':true}},'max_tokens':1"},
    {"'max_tokens':1,'output_format':{'type':'xml'},'output_config':{'format':{'type':"
     "'json_schema','schema':{}}}",
     "'response_format':{'type':'json_schema','json_schema':{'name':'output','schema':{},"
     "'strict':true}},'max_tokens':1"},
    {"'max_tokens':1,'output_format':null", "'max_tokens':1"},
    /* tools */
    {"'max_tokens':1,'tools':[{'name':'f','description':'d','input_schema':{'type':'object','x':"
     "{'maximum':18446744073709551615,'minimum':0}},'strict':true,'cache_control':{}},"
     "{'type':'custom','name':'g','input_schema':{},'defer_loading':true}]",
     "'tools':[{'type':'function','function':{'name':'f','description':'d','parameters':"
     "{'type':'object','x':{'maximum':1.8446744073709552e+19,'minimum':0}},'strict':true}},"
     "{'type':'function','function':{'name':'g','parameters':{}}}],'max_tokens':1"},
    {"'max_tokens':1,'tools':[],'tool_choice':{'type':'auto'}", "'max_tokens':1"},
#define TOOL "'tools':[{'name':'f','input_schema':{}}]"
#define CHAT_TOOL "'tools':[{'type':'function','function':{'name':'f','parameters':{}}}]"
    {"'max_tokens':1," TOOL ",'tool_choice':{'type':'auto','disable_parallel_tool_use':true}",
     CHAT_TOOL ",'tool_choice':'auto','parallel_tool_calls':false,'max_tokens':1"},
    {"'max_tokens':1," TOOL ",'tool_choice':{'type':'any'}",
     CHAT_TOOL ",'tool_choice':'required','max_tokens':1"},
    {"'max_tokens':1," TOOL ",'tool_choice':{'type':'none'}",
     CHAT_TOOL ",'tool_choice':'none','max_tokens':1"},
    {"'max_tokens':1," TOOL ",'tool_choice':{'type':'tool','name':'f'}",
     CHAT_TOOL ",'tool_choice':{'type':'function','function':{'name':'f'}},'max_tokens':1"},
};

static void expect_chat(const char *body, const char *expected)
{
    struct buf chat = {0};
    struct err err = {0};
    auto_free char *from = unquote(body);
    auto_free char *to = unquote(expected);
    if (anthropic_request_to_chat(str_of(from), "served", &chat, &err) < 0)
        fail_msg("%s: %s", from, err.text);
    assert_string_equal(chat.ptr, to);
    buf_fini(&chat);
}

static void test_translates_conversations(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(conversations); i++) {
        auto_free char *body =
            mem_printf("{'messages':[%s],'max_tokens':1}", conversations[i].messages);
        auto_free char *chat = mem_printf("{'model':'served','messages':[%s],'max_tokens':1}",
                                          conversations[i].chat);
        expect_chat(body, chat);
    }
}

static void test_translates_members(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        auto_free char *body = mem_printf("{'messages':[" USER "],%s}", members[i].messages);
        auto_free char *chat =
            mem_printf("{'model':'served','messages':[" CHAT_USER "],%s}", members[i].chat);
        expect_chat(body, chat);
    }
}

static void test_translates_the_system(void **state)
{
    static const struct row rows[] = {
        {"'s'", "s"},
        {"[{'type':'text','text':'s'},{'type':'text','text':'t'}]", "s\\nt"},
        {"[{'type':'text','text':'x-anthropic-billing-header: cch=1;'},{'type':'text','text':'s'}]",
         "s"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *body = mem_printf("{'system':%s,'messages':[{'role':'system','content':"
                                          "'u'}," USER "],'max_tokens':1}",
                                          rows[i].messages);
        auto_free char *chat =
            mem_printf("{'model':'served','messages':[{'role':'system','content':'%s\\nu'},"
                       CHAT_USER "],'max_tokens':1}",
                       rows[i].chat);
        expect_chat(body, chat);
    }
}

static void test_lets_a_last_answer_be_continued(void **state)
{
    expect_chat("{'messages':[" USER ",{'role':'assistant','content':'a'}],'max_tokens':1}",
                "{'model':'served','messages':[" CHAT_USER ",{'role':'assistant','content':'a'}],"
                "'add_generation_prompt':false,'continue_final_message':true,'max_tokens':1}");
}

/* --- refusals --------------------------------------------------------------------------------- */

static const struct row bad_conversations[] = {
    {"", "messages: at least one message is needed"},
    {"1", "messages[0]: must be an object, not a number"},
    {"{}", "messages[0].role: must be a string, not nothing"},
    {"{'role':'tool','content':''}", "messages[0].role: must be user, assistant or system, not"},
    {"{'role':'user'}", "messages[0].content: must be a string or an array, not nothing"},
    {"{'role':'user','content':null}",
     "messages[0].content: must be a string or an array, not null"},
    {"{'role':'user','content':{}}", "messages[0].content: must be a string or an array, not an"},
    {USER ",{'role':'user','content':[1]}", "messages[1].content[0]: must be an object, not a num"},
    {"{'role':'user','content':[[]]}", "messages[0].content[0]: must be an object, not an array"},
    {"{'role':'user','content':[{}]}",
     "messages[0].content[0].type: must be a string, not nothing"},
    {"{'role':'user','content':[{'type':'text'}]}",
     "messages[0].content[0].text: must be a string"},
    {"{'role':'user','content':[{'type':'text','text':1}]}",
     "content[0].text: must be a string, n"},
    {"{'role':'user','content':[{'type':'server_tool_use'}]}",
     "messages[0].content[0].type: 'server_tool_use' can't be given to this engine; allowed: text"},
    {"{'role':'user','content':[{'type':'image'}]}", "messages[0].content[0].source: is missing"},
    {"{'role':'user','content':[{'type':'image','source':'x'}]}", "source: must be an object, not"},
    {USER "," USER ",{'role':'user','content':[{'type':'image','source':{'type':'file','file_id':"
          "'f'}}]}",
     "messages[2].content[0].source.type: 'file' can't be given to this engine; allowed: base64"},
    {"{'role':'user','content':[{'type':'image','source':{'type':'base64','media_type':"
     "'image/png;x','data':''}}]}",
     "messages[0].content[0].source.media_type: must be like 'image/png', not 'image/png;x'"},
    {"{'role':'user','content':[{'type':'image','source':{'type':'base64','media_type':'image/'"
     ",'data':''}}]}",
     "media_type: must be like"},
    {"{'role':'user','content':[{'type':'document','source':{'type':'base64','media_type':"
     "'application/pdf','data':''}}]}",
     "messages[0].content[0].source.type: 'base64' can't be given to this engine, which reads no"},
    {"{'role':'user','content':[{'type':'document','source':{'type':'content','content':[2]}}]}",
     "messages[0].content[0].source.content[0]: must be an object, not a number"},
    {"{'role':'user','content':[{'type':'tool_result'}]}",
     "messages[0].content[0].tool_use_id: must be a string, not nothing"},
    {"{'role':'user','content':[{'type':'tool_result','tool_use_id':'t','is_error':1}]}",
     "messages[0].content[0].is_error: must be true or false, not a number"},
    {"{'role':'user','content':[{'type':'tool_result','tool_use_id':'t','content':[{'type':"
     "'tool_use'}]}]}",
     "messages[0].content[0].content[0].type: 'tool_use' can't"},
    {"{'role':'assistant','content':[{'type':'image'}]}",
     "messages[0].content[0].type: 'image' can't be given to this engine as the assistant's"},
    {"{'role':'assistant','content':[{'type':'thinking'}]}", "content[0].thinking: must be a str"},
    {"{'role':'assistant','content':[{'type':'tool_use','name':'f'}]}", "content[0].id: must be"},
    {"{'role':'assistant','content':[{'type':'tool_use','id':'t'}]}", "content[0].name: must be"},
    {"{'role':'assistant','content':[{'type':'tool_use','id':'t','name':'f','input':'{}'}]}",
     "messages[0].content[0].input: must be an object, not a string"},
    {"{'role':'system','content':[{'type':'image'}]}",
     "messages[0].content[0].type: must be text in a system message, not 'image'"},
    {USER ",{'role':'system','content':[{'type':'tool_result'}]}",
     "messages[1].content[0].type: must be text in a system message"},
};

static const struct row bad_members[] = {
    {"'x':1", "max_tokens: a whole number is needed, not nothing"},
    {"'max_tokens':'5'", "max_tokens: a whole number is needed, not a string"},
    {"'max_tokens':1.5", "max_tokens: a whole number is needed"},
    {"'max_tokens':0", "max_tokens: must be 1 or more, not 0"},
    {"'max_tokens':-1", "max_tokens: must be 1 or more, not -1"},
    {"'max_tokens':1e30", "max_tokens: a whole number is needed"},
    {"'max_tokens':1,'temperature':'hot'", "temperature: must be a number, not a string"},
    {"'max_tokens':1,'top_p':[]", "top_p: must be a number, not an array"},
    {"'max_tokens':1,'top_k':1.5", "top_k: must be a whole number"},
    {"'max_tokens':1,'stop_sequences':'a'", "stop_sequences: must be an array, not a string"},
    {"'max_tokens':1,'stop_sequences':['a',1]", "stop_sequences[1]: must be a string, not a numb"},
    {"'max_tokens':1,'stream':'yes'", "stream: must be true or false, not a string"},
    {"'max_tokens':1,'metadata':[]", "metadata: must be an object, not an array"},
    {"'max_tokens':1,'metadata':{'user_id':1}", "metadata.user_id: must be a string, not a number"},
    {"'max_tokens':1,'system':1", "system: must be a string or an array, not a number"},
    {"'max_tokens':1,'system':[1]", "system[0]: must be an object, not a number"},
    {"'max_tokens':1,'system':[{'type':'image'}]", "system[0].type: must be text, not 'image'"},
    {"'max_tokens':1,'container':'c'", "container: is a service of Anthropic's"},
    {"'max_tokens':1,'mcp_servers':[{}]", "mcp_servers: is a service of Anthropic's"},
    {"'max_tokens':1,'thinking':true", "thinking: must be an object, not a boolean"},
    {"'max_tokens':1,'thinking':{}", "thinking.type: must be a string, not nothing"},
    {"'max_tokens':1,'thinking':{'type':'on'}", "thinking.type: must be enabled, adaptive"},
    {"'max_tokens':1,'chat_template_kwargs':1", "chat_template_kwargs: must be an object"},
    {"'max_tokens':1,'output_config':{'effort':'none'}", "output_config.effort: must be low,"},
    {"'max_tokens':1,'output_config':{'format':{}}", "output_config.format.type: must be a string"},
    {"'max_tokens':1,'output_config':{'format':{'type':'xml'}}",
     "format.type: must be json_schema"},
    {"'max_tokens':1,'output_config':{'format':{'type':'json_schema'}}",
     "format.schema: is missing"},
    {"'max_tokens':1,'output_format':'json'", "output_format: must be an object, not a string"},
    {"'max_tokens':1,'output_format':{'type':'xml'}",
     "output_format.type: must be json_schema, not 'xml'"},
    {"'max_tokens':1,'output_format':{'type':'json_schema'}", "output_format.schema: is missing"},
    {"'max_tokens':1,'tools':{}", "tools: must be an array, not an object"},
    {"'max_tokens':1,'tools':[1]", "tools[0]: must be an object, not a number"},
    {"'max_tokens':1,'tools':[{'input_schema':{}}]",
     "tools[0].name: must be a string, not nothing"},
    {"'max_tokens':1,'tools':[{'name':'f'}]", "tools[0].input_schema: is missing"},
    {"'max_tokens':1,'tools':[{'name':'f','input_schema':'x'}]",
     "tools[0].input_schema: must be an"},
    {"'max_tokens':1,'tools':[{'name':'f','description':1,'input_schema':{}}]",
     "tools[0].description: must be a string"},
    {"'max_tokens':1," TOOL ",'tools2':1,'tool_choice':{'type':'all'}",
     "tool_choice.type: must be auto, any, tool or none, not 'all'"},
    {"'max_tokens':1," TOOL ",'tool_choice':{'type':'tool'}", "tool_choice.name: must be a string"},
    {"'max_tokens':1," TOOL ",'tool_choice':'any'", "tool_choice: must be an object, not a string"},
    {"'max_tokens':1,'tool_choice':{'type':'any'}",
     "tool_choice: 'any' needs tools, and there are"},
    {"'max_tokens':1,'tools':[{'name':'f','input_schema':{}},{'type':'web_search_20250305','name':"
     "'web_search'}]",
     "tools[1].type: 'web_search_20250305' is a tool of Anthropic's service; allowed: custom"},
};

static void expect_refusal(struct str body, int code, const char *text)
{
    struct buf chat = {0};
    struct err err = {0};
    int rc = anthropic_request_to_chat(body, "served", &chat, &err);
    if (rc != code || !strstr(err.text, text))
        fail_msg("%.*s: %d %s", (int)(body.len < 500 ? body.len : 500), body.ptr, rc, err.text);
    assert_null(chat.ptr);
}

static void test_names_what_it_refuses(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(bad_conversations); i++) {
        auto_free char *body =
            mem_printf("{'messages':[%s],'max_tokens':1}", bad_conversations[i].messages);
        auto_free char *json = unquote(body);
        expect_refusal(str_of(json), ERR_INVALID, bad_conversations[i].chat);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad_members); i++) {
        auto_free char *body = mem_printf("{'messages':[" USER "],%s}", bad_members[i].messages);
        auto_free char *json = unquote(body);
        expect_refusal(str_of(json), ERR_INVALID, bad_members[i].chat);
    }
}

static void test_refuses_what_is_no_object(void **state)
{
    expect_refusal(STR(""), ERR_SYNTAX, "line 1 column 0");
    expect_refusal(STR("[]"), ERR_SYNTAX, "a JSON object is expected, not an array");
    expect_refusal(STR("\"x\""), ERR_SYNTAX, "line 1");
    expect_refusal(STR("{} {}"), ERR_SYNTAX, "line 1");
    expect_refusal(STR("{\"messages\":[],\"messages\":[]}"), ERR_SYNTAX, "duplicate");
    expect_refusal(STR("{\"messages\":\"\xc3(\"}"), ERR_SYNTAX, "unable to decode byte 0xc3");
    expect_refusal(STR("{\"messages\":\"\\ud800\"}"), ERR_SYNTAX, "Unicode");
    expect_refusal(STR("{\"messages\":1e999}"), ERR_SYNTAX, "overflow");
    expect_refusal(STR("{\"messages\":{}}"), ERR_INVALID, "messages: must be an array");
}

static void test_refuses_every_cut(void **state)
{
    auto_free char *body = unquote(
        "{'messages':[{'role':'user','content':[{'type':'text','text':'\\u00e4'}]}],"
        "'max_tokens':1}");
    for (size_t n = 0; n < strlen(body); n++) {
        auto_free char *cut = mem_alloc(n); /* of exactly that size: reading past it is seen */
        memcpy(cut, body, n);
        expect_refusal(str_sub(cut, n), ERR_SYNTAX, "line 1");
    }
}

/* --- limits ----------------------------------------------------------------------------------- */

/* A tool's schema nested so that the whole is `levels` deep. */
static int translate_depth(unsigned levels)
{
    enum { OUTSIDE = 3 }; /* body, tools, tool */
    struct buf chat = {0};
    struct buf schema = repeat("", levels - OUTSIDE - 1, "{\"a\":", "{}");
    struct buf end = repeat("", levels - OUTSIDE - 1, "}", "");
    auto_free char *body = mem_printf(
        "{\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"\"}],\"tools\":"
        "[{\"name\":\"f\",\"input_schema\":%s%s}]}",
        schema.ptr, end.ptr);
    int rc = anthropic_request_to_chat(str_of(body), "served", &chat, NULL);
    buf_fini(&chat);
    buf_fini(&schema);
    buf_fini(&end);
    return rc;
}

static void test_limits_the_depth(void **state)
{
    assert_int_equal(translate_depth(ANTHROPIC_DEPTH_MAX), 0);
    assert_int_equal(translate_depth(ANTHROPIC_DEPTH_MAX + 1), ERR_INVALID);
    struct buf deep = repeat("{\"messages\":", 100000, "[", "");
    expect_refusal(buf_str(&deep), ERR_SYNTAX, "depth");
    buf_fini(&deep);
}

static void test_limits_the_size(void **state)
{
    struct buf body = repeat("{\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"",
                             ANTHROPIC_REQUEST_MAX / 16, "0123456789abcdef", "\"}]}");
    expect_refusal(buf_str(&body), ERR_TOO_LARGE, "larger than 33554432");
    buf_fini(&body);
    body = repeat("{\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"\"}",
                  ANTHROPIC_MESSAGES_MAX, ",{\"role\":\"user\",\"content\":\"\"}", "]}");
    expect_refusal(buf_str(&body), ERR_INVALID, "messages: 100001 messages are more than 100000");
    buf_fini(&body);
}

/* What is counted are values, not their signs within strings. */
static void test_limits_the_values(void **state)
{
    enum { OTHERS = 8 }; /* body, max_tokens, messages, message, role, content, x, the first item */
    static const char front[] =
        "{\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"[,\\\\\\\",{\"}],"
        "\"x\":[1";
    struct buf chat = {0};
    struct err err = {0};
    struct buf body = repeat(front, ANTHROPIC_VALUES_MAX - OTHERS, ",1", "]}");
    if (anthropic_request_to_chat(buf_str(&body), "served", &chat, &err) < 0)
        fail_msg("%s", err.text);
    buf_fini(&chat);
    buf_fini(&body);
    body = repeat(front, ANTHROPIC_VALUES_MAX - OTHERS + 1, ",1", "]}");
    expect_refusal(buf_str(&body), ERR_TOO_LARGE, "JSON of 1000001 values has more than 1000000");
    buf_fini(&body);
}

/* An error's text has room for what it quotes of the body. */
static void test_clips_what_it_quotes(void **state)
{
    struct buf body =
        repeat("{\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"", 5000,
               "x", "\"}]}]}");
    expect_refusal(buf_str(&body), ERR_INVALID, "xxxx' can't be given");
    buf_fini(&body);
}

/* --- counting --------------------------------------------------------------------------------- */

static void test_translates_count_requests(void **state)
{
    struct buf out = {0};
    auto_free char *body =
        unquote("{'model':'x','system':'s','messages':[" USER "]," TOOL
                ",'tool_choice':{'type':'any'},'thinking':{'type':'disabled'}}");
    auto_free char *expected =
        unquote("{'model':'served','messages':[{'role':'system','content':'s'}," CHAT_USER
                "]," CHAT_TOOL
                ",'chat_template_kwargs':{'enable_thinking':false,'thinking':false}}");
    assert_int_equal(anthropic_count_to_tokenize(str_of(body), "served", &out, NULL), 0);
    assert_string_equal(out.ptr, expected);
    buf_fini(&out);
    assert_int_equal(anthropic_count_to_tokenize(STR("{}"), "served", &out, NULL), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_translates_conversations),
        cmocka_unit_test(test_translates_members),
        cmocka_unit_test(test_translates_the_system),
        cmocka_unit_test(test_lets_a_last_answer_be_continued),
        cmocka_unit_test(test_names_what_it_refuses),
        cmocka_unit_test(test_refuses_what_is_no_object),
        cmocka_unit_test(test_refuses_every_cut),
        cmocka_unit_test(test_limits_the_depth),
        cmocka_unit_test(test_limits_the_size),
        cmocka_unit_test(test_limits_the_values),
        cmocka_unit_test(test_clips_what_it_quotes),
        cmocka_unit_test(test_translates_count_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
