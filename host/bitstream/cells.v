// Cells of a netlist that Yosys ships no simulation model of, or none that a two-valued simulator can use.

// ECP5's distributed RAM: what the write side of a slice hands to the two LUT pairs beside it.
module TRELLIS_RAMW(
  input A0, B0, C0, D0, A1, B1, C1, D1,
  output WADO0, WADO1, WADO2, WADO3, WDO0, WDO1, WDO2, WDO3
);
  assign {WADO3, WADO2, WADO1, WADO0} = {A0, C0, B0, D0};
  assign {WDO3, WDO2, WDO1, WDO0} = {B1, D1, A1, C1};
endmodule

// ECP5's block RAM, 18 Kbit: single clock edge a port, chip selects tied, no asynchronous reset.
module SIM_DP16KD(
  input CLKA, CEA, OCEA, WEA, RSTA, CSA, CLKB, CEB, OCEB, WEB, RSTB, CSB,
  input [13:0] ADA, ADB,
  input [17:0] DIA, DIB,
  output [17:0] DOA, DOB
);
  parameter WIDTH_A = 18;
  parameter WIDTH_B = 18;
  parameter OUTREG_A = 0;
  parameter OUTREG_B = 0;
  parameter MODE_A = 0;  // what a port reads while it writes: 0 keeps, 1 the new data, 2 the old data
  parameter MODE_B = 0;
  parameter [18431:0] INIT = 0;  // byte after byte of 9 bits

  reg [8:0] memory [0:2047];
  integer i;
  initial for (i = 0; i < 2048; i = i + 1) memory[i] = INIT[9 * i +: 9];

  // 18 bits at an address; port B 36 wide shows the low ones on port A's pins, as Yosys' brams_map_16kd.v connects them
  function [17:0] look(input [5:0] width, input [13:0] at, input high);
    case (width)
      36: look = high ? {memory[{at[13:5], 2'd3}], memory[{at[13:5], 2'd2}]}
                      : {memory[{at[13:5], 2'd1}], memory[{at[13:5], 2'd0}]};
      18: look = {memory[{at[13:4], 1'd1}], memory[{at[13:4], 1'd0}]};
      9: look = memory[at[13:3]];
      4: look = memory[at[13:3]][4 * at[2] +: 4];
      2: look = memory[at[13:3]][2 * at[2:1] +: 2];
      default: look = memory[at[13:3]][at[2:0]];
    endcase
  endfunction

  wire [17:0] now_a = WIDTH_B == 36 ? look(36, ADB, 0) : look(WIDTH_A, ADA, 0);
  wire [17:0] now_b = look(WIDTH_B, ADB, 1);
  reg [17:0] a = 0, b = 0, a_out = 0, b_out = 0;
  // with WIDTH_B = 36 both halves leave on port B's clock and enables
  wire clk_a = WIDTH_B == 36 ? CLKB : CLKA;
  wire read_a = WIDTH_B == 36 ? CEB & CSB : CEA & CSA & (MODE_A == 2 | ~WEA);
  wire read_b = CEB & CSB & (MODE_B == 2 | ~WEB);
  always @(posedge clk_a) begin
    if (WIDTH_B == 36 ? RSTB : RSTA) a <= 0; else if (read_a) a <= now_a;
    if (WIDTH_B == 36 ? RSTB : RSTA) a_out <= 0; else if (WIDTH_B == 36 ? OCEB : OCEA) a_out <= a;
  end
  always @(posedge CLKB) begin
    if (RSTB) b <= 0; else if (read_b) b <= now_b;
    if (RSTB) b_out <= 0; else if (OCEB) b_out <= b;
  end
  assign DOA = OUTREG_A ? a_out : a;
  assign DOB = OUTREG_B ? b_out : b;

  always @(posedge CLKA) if (CEA & CSA & WEA)
    case (WIDTH_A)
      36: begin
        if (ADA[0]) memory[{ADA[13:5], 2'd0}] <= DIA[8:0];
        if (ADA[1]) memory[{ADA[13:5], 2'd1}] <= DIA[17:9];
        if (ADA[2]) memory[{ADA[13:5], 2'd2}] <= DIB[8:0];
        if (ADA[3]) memory[{ADA[13:5], 2'd3}] <= DIB[17:9];
      end
      18: begin
        if (ADA[0]) memory[{ADA[13:4], 1'd0}] <= DIA[8:0];
        if (ADA[1]) memory[{ADA[13:4], 1'd1}] <= DIA[17:9];
      end
      9: memory[ADA[13:3]] <= DIA[8:0];
      4: memory[ADA[13:3]][4 * ADA[2] +: 4] <= DIA[3:0];
      2: memory[ADA[13:3]][2 * ADA[2:1] +: 2] <= DIA[1:0];
      default: memory[ADA[13:3]][ADA[2:0]] <= DIA[0];
    endcase
  always @(posedge CLKB) if (WIDTH_A != 36 & CEB & CSB & WEB)
    case (WIDTH_B)
      18: begin
        if (ADB[0]) memory[{ADB[13:4], 1'd0}] <= DIB[8:0];
        if (ADB[1]) memory[{ADB[13:4], 1'd1}] <= DIB[17:9];
      end
      9: memory[ADB[13:3]] <= DIB[8:0];
      4: memory[ADB[13:3]][4 * ADB[2] +: 4] <= DIB[3:0];
      2: memory[ADB[13:3]][2 * ADB[2:1] +: 2] <= DIB[1:0];
      default: memory[ADB[13:3]][ADB[2:0]] <= DIB[0];
    endcase
endmodule

// Gowin's block RAM, 18 Kbit, of any kind: block selects tied, no asynchronous reset.
module SIM_BSRAM(
  input CLKA, CEA, RSTA, OCEA, WEA, CLKB, CEB, RSTB, OCEB, WEB,
  input [13:0] ADA, ADB,
  input [35:0] DIA, DIB,
  output [35:0] DOA, DOB
);
  parameter BYTE = 9;  // bits of a byte: 8, or 9 where the ninth is used
  parameter WIDTH_A = 36;
  parameter WIDTH_B = 36;
  parameter OUTREG_A = 0;
  parameter OUTREG_B = 0;
  parameter MODE_A = 0;  // what a port reads while it writes: 0 keeps, 1 the new data, 2 the old data
  parameter MODE_B = 0;
  parameter [18431:0] INIT = 0;  // byte after byte of 9 bits

  reg [8:0] memory [0:2047];
  integer i;
  initial for (i = 0; i < 2048; i = i + 1) memory[i] = INIT[9 * i +: 9];

  function [35:0] look(input [5:0] width, input [13:0] at);
    case (width)
      4 * BYTE: look = memory[{at[13:5], 2'd3}] << 3 * BYTE | memory[{at[13:5], 2'd2}] << 2 * BYTE
                     | memory[{at[13:5], 2'd1}] << BYTE | memory[{at[13:5], 2'd0}];
      2 * BYTE: look = memory[{at[13:4], 1'd1}] << BYTE | memory[{at[13:4], 1'd0}];
      BYTE: look = memory[at[13:3]];
      4: look = memory[at[13:3]][4 * at[2] +: 4];
      2: look = memory[at[13:3]][2 * at[2:1] +: 2];
      default: look = memory[at[13:3]][at[2:0]];
    endcase
  endfunction

  reg [35:0] a = 0, b = 0, a_out = 0, b_out = 0;
  always @(posedge CLKA) begin
    if (RSTA) a <= 0; else if (CEA) begin
      if (!WEA | MODE_A == 2) a <= look(WIDTH_A, ADA); else if (MODE_A == 1) a <= DIA;
    end
    if (RSTA) a_out <= 0; else if (OCEA) a_out <= a;
  end
  always @(posedge CLKB) begin
    if (RSTB) b <= 0; else if (CEB) begin
      if (!WEB | MODE_B == 2) b <= look(WIDTH_B, ADB); else if (MODE_B == 1) b <= DIB;
    end
    if (RSTB) b_out <= 0; else if (OCEB) b_out <= b;
  end
  assign DOA = OUTREG_A ? a_out : a;
  assign DOB = OUTREG_B ? b_out : b;

  always @(posedge CLKA) if (CEA & WEA)
    case (WIDTH_A)
      4 * BYTE: for (i = 0; i < 4; i = i + 1) if (ADA[i]) memory[{ADA[13:5], i[1:0]}] <= DIA[BYTE * i +: BYTE];
      2 * BYTE: for (i = 0; i < 2; i = i + 1) if (ADA[i]) memory[{ADA[13:4], i[0]}] <= DIA[BYTE * i +: BYTE];
      BYTE: memory[ADA[13:3]] <= DIA[BYTE - 1:0];
      4: memory[ADA[13:3]][4 * ADA[2] +: 4] <= DIA[3:0];
      2: memory[ADA[13:3]][2 * ADA[2:1] +: 2] <= DIA[1:0];
      default: memory[ADA[13:3]][ADA[2:0]] <= DIA[0];
    endcase
  always @(posedge CLKB) if (CEB & WEB)
    case (WIDTH_B)
      4 * BYTE: for (i = 0; i < 4; i = i + 1) if (ADB[i]) memory[{ADB[13:5], i[1:0]}] <= DIB[BYTE * i +: BYTE];
      2 * BYTE: for (i = 0; i < 2; i = i + 1) if (ADB[i]) memory[{ADB[13:4], i[0]}] <= DIB[BYTE * i +: BYTE];
      BYTE: memory[ADB[13:3]] <= DIB[BYTE - 1:0];
      4: memory[ADB[13:3]][4 * ADB[2] +: 4] <= DIB[3:0];
      2: memory[ADB[13:3]][2 * ADB[2:1] +: 2] <= DIB[1:0];
      default: memory[ADB[13:3]][ADB[2:0]] <= DIB[0];
    endcase
endmodule

// UltraPlus' single-port RAM, 16384 words of 16 bits: never put to sleep, and zero where nothing was written.
module SB_SPRAM256KA(
  input [13:0] ADDRESS,
  input [15:0] DATAIN,
  input [3:0] MASKWREN,
  input WREN, CHIPSELECT, CLOCK, STANDBY, SLEEP, POWEROFF,
  output reg [15:0] DATAOUT
);
  reg [15:0] memory [0:16383];
  integer i;
  initial DATAOUT = 0;
  always @(posedge CLOCK) if (CHIPSELECT & !WREN) DATAOUT <= memory[ADDRESS];
  always @(posedge CLOCK) if (CHIPSELECT & WREN)
    for (i = 0; i < 4; i = i + 1) if (MASKWREN[i]) memory[ADDRESS][4 * i +: 4] <= DATAIN[4 * i +: 4];
endmodule

// A PLL in a bitstream: the simulator makes the clock itself.
module SIM_PLL(
  input REFERENCECLK, EXTFEEDBACK, BYPASS, RESETB, LATCHINPUTVALUE, SDI, SCLK,
  input [7:0] DYNAMICDELAY,
  output PLLOUTCORE, PLLOUTGLOBAL, LOCK, SDO
);
  assign {PLLOUTCORE, PLLOUTGLOBAL, LOCK, SDO} = {REFERENCECLK, REFERENCECLK, RESETB, 1'b0};
endmodule
